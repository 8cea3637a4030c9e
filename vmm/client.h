/*
 * The verbs that steer a machine that runs: clients of its control socket.
 * Each gets the words behind the verb and returns the exit status; what went
 * wrong is one line on stderr and status 125. Main thread, the only one; they
 * block until they are done.
 */
#ifndef VMM_CLIENT_H
#define VMM_CLIENT_H

/* ctl NAME|SOCKET METHOD [ARG...]: one request. */
int client_ctl(int argc, char **argv);

/* ps: the machines of the runtime directory. */
int client_ps(int argc, char **argv);

/* wait NAME: its end; returns the status that the machine ends with. */
int client_wait(int argc, char **argv);

/* stop NAME: ask it to stop, and wait for its end. */
int client_stop(int argc, char **argv);

/* console NAME: its serial port on this terminal. */
int client_console(int argc, char **argv);

#endif
