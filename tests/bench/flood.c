/*
 * Sends Ethernet frames out of a network interface as fast as it takes them,
 * until it is killed: flood INTERFACE BYTES. Needs CAP_NET_RAW.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(0x88b5),
	};
	static unsigned char frame[ETH_FRAME_LEN];
	size_t len;
	int fd;

	if (argc != 3)
		return 2;
	len = strtoul(argv[2], NULL, 10);
	if (len < ETH_HLEN || len > sizeof(frame))
		return 2;
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
	if (!to.sll_ifindex || fd < 0) {
		perror(argv[1]);
		return 1;
	}
	memset(frame, 0xff, ETH_ALEN);
	memcpy(frame + ETH_ALEN, "\x02\0\0\0\0\x02\x88\xb5", 8);
	for (;;) {
		/* A tap whose reader is away is no reason to stop. */
		if (sendto(fd, frame, len, 0, (struct sockaddr *)&to,
			   sizeof(to)) < 0 &&
		    errno != ENOBUFS && errno != ENETDOWN && errno != EIO) {
			perror("sendto");
			return 1;
		}
	}
}
