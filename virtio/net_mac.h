/*
 * A network card's address, as users write it.
 */
#ifndef VIRTIO_NET_MAC_H
#define VIRTIO_NET_MAC_H

#include <stdint.h>

#include "vmm/base/error.h"

#define NET_MAC_SIZE 6
#define NET_MAC_TEXT 18 /* with its end */

/* Six pairs of hexadecimal digits with colons: 0 or -EINVAL. */
int net_mac_parse(const char *text, uint8_t mac[NET_MAC_SIZE]);

void net_mac_print(const uint8_t mac[NET_MAC_SIZE], char text[NET_MAC_TEXT]);

/* The address that mac= says, or one that is made up if @text is NULL. @option:
 * for messages. Return: 0 or a negative errno, @err set. */
int net_mac_choose(const char *option, const char *text,
		   uint8_t mac[NET_MAC_SIZE], struct error *err);

#endif
