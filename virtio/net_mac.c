#include "virtio/net_mac.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/random.h>

static int net_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int net_mac_parse(const char *text, uint8_t mac[NET_MAC_SIZE])
{
	if (strlen(text) != NET_MAC_TEXT - 1)
		return -EINVAL;
	for (unsigned int i = 0; i < NET_MAC_SIZE; i++) {
		int high = net_hex(text[3 * i]), low = net_hex(text[3 * i + 1]);

		if (high < 0 || low < 0 ||
		    (i < NET_MAC_SIZE - 1 && text[3 * i + 2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

void net_mac_print(const uint8_t mac[NET_MAC_SIZE], char text[NET_MAC_TEXT])
{
	snprintf(text, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* One of those that everybody may give to anything (802, 8.2.2). */
static int net_mac_make(const char *option, uint8_t mac[NET_MAC_SIZE],
			struct error *err)
{
	if (getrandom(mac, NET_MAC_SIZE, 0) != NET_MAC_SIZE)
		return error_set(err, errno, "%s: getrandom: %s", option,
				 strerror(errno));
	mac[0] = (uint8_t)((mac[0] & ~1) | 2);
	return 0;
}

int net_mac_choose(const char *option, const char *text,
		   uint8_t mac[NET_MAC_SIZE], struct error *err)
{
	static const uint8_t none[NET_MAC_SIZE];

	if (!text)
		return net_mac_make(option, mac, err);
	if (net_mac_parse(text, mac) < 0)
		return error_set(err, EINVAL,
				 "%s: mac=%s: expected six pairs of "
				 "hexadecimal digits, such as "
				 "52:54:00:12:34:56",
				 option, text);
	if (mac[0] & 1)
		return error_set(err, EINVAL,
				 "%s: mac=%s: is a multicast address; the "
				 "first pair of digits must be even",
				 option, text);
	if (memcmp(mac, none, sizeof(none)) == 0)
		return error_set(err, EINVAL,
				 "%s: mac=%s: is no address; leave mac= out "
				 "and one is made up",
				 option, text);
	return 0;
}
