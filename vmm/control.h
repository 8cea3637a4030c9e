/*
 * The control socket's server: connections, lines, queues. What is asked is
 * control_rpc.c's business, what it means the table's.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/control_rpc.h"

/* Connections at a time; the next one is told so and closed. */
#define CONTROL_CLIENTS_MAX 16
/* Bytes of a request without its newline; a longer one ends the connection. */
#define CONTROL_LINE_MAX 65536
/* Bytes that wait for a client; more end the connection. */
#define CONTROL_QUEUE_MAX 262144

struct control;

struct control_config {
	struct loop *loop; /* borrowed */
	int fd;		   /* borrowed: a Unix stream socket that listens */
	struct control_table table;
	void *ctx; /* borrowed, for the methods */
};

/**
 * control_new() - Serve the clients that connect.
 * @out: for control_free()
 *
 * Peers of other users than our own and root are turned away. All functions
 * here belong to the loop's thread and never block, but for control_flush().
 * Return: 0 or a negative errno, @err set.
 */
int control_new(struct control **out, const struct control_config *config,
		struct error *err);

/* Close all connections. Outside of the methods. NULL is nothing to do. */
void control_free(struct control *control);

/* Let nobody else in: config.fd may be closed. */
void control_stop_listening(struct control *control);

/**
 * control_flush() - Write what waits for the clients.
 * @max_ns: and give up after this time
 *
 * Outside of loop_run().
 */
void control_flush(struct control *control, int64_t max_ns);

/*
 * What a client has subscribed to: bits whose meaning is the table's. They are
 * none at first, and go with the connection.
 */
uint64_t control_client_topics(const struct control_client *client);
void control_client_subscribe(struct control_client *client, uint64_t topics);

/* Take @topics from every client. */
void control_unsubscribe_all(struct control *control, uint64_t topics);

/* Whether a message on any of @topics has a reader. */
bool control_wanted(const struct control *control, uint64_t topics);

enum control_loss {
	CONTROL_RELIABLE, /* a client whose queue is full is dropped */
	CONTROL_LOSSY,	  /* whose queue is half full, it misses this */
};

/**
 * control_publish() - Send @message to all who have one of @topics.
 * @message: taken over; NULL (no memory for it) drops them all
 *
 * Also inside of methods.
 */
void control_publish(struct control *control, uint64_t topics, json_t *message,
		     enum control_loss loss);

#endif
