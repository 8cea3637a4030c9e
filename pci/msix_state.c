/*
 * MSI-X saved and restored: the table, and the pending bits as they could be
 * read. The state may have been edited by anybody; what no guest could have
 * brought about is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/eventfd.h>

#include "pci/msix_private.h"
#include "vmm/base/json.h"

/* Bytes of the pending bits. */
static size_t pci_msix_pba_bytes(const struct pci_msix *msix)
{
	return (msix->config.vectors + 63) / 64 * sizeof(uint64_t);
}

/*
 * An injection may be under way in KVM's work queue, and so in no state at all;
 * to stop listening waits for it.
 */
static int pci_msix_settle_locked(struct pci_msix *msix)
{
	int rc = 0;

	for (unsigned int i = 0; i < msix->line_count && !rc; i++) {
		struct pci_msix_line *line = &msix->lines[i];

		if (!line->heard)
			continue;
		pci_msix_hear_locked(msix, line, false);
		rc = pci_msix_hear_locked(msix, line, true);
	}
	return rc;
}

static json_t *pci_msix_save_pending_locked(struct pci_msix *msix)
{
	uint8_t bits[PCI_MSIX_VECTORS_MAX / 8];

	for (unsigned int i = 0; i < pci_msix_pba_bytes(msix); i++) {
		unsigned int count = msix->config.vectors > 8 * i
					     ? msix->config.vectors - 8 * i
					     : 0;

		bits[i] = (uint8_t)pci_msix_pending_locked(
			msix, 8 * i, count < 8 ? count : 8);
	}
	return json_blob(bits, pci_msix_pba_bytes(msix));
}

int pci_msix_save(struct pci_msix *msix, json_t **out)
{
	json_t *table = NULL, *pending = NULL;
	int rc;

	pthread_mutex_lock(&msix->lock);
	rc = pci_msix_settle_locked(msix);
	if (!rc) {
		table = json_blob(msix->table, pci_msix_table_bytes(msix));
		pending = pci_msix_save_pending_locked(msix);
	}
	pthread_mutex_unlock(&msix->lock);
	if (rc)
		return rc;
	/* Takes both references, and fails if one of them is NULL. */
	*out = json_pack("{s:o, s:o}", "table", table, "pending", pending);
	return *out ? 0 : -ENOMEM;
}

/* Fill both from the state. */
static int pci_msix_load(const struct pci_msix *msix, const json_t *state,
			 uint8_t *table, uint8_t *pending, struct error *err)
{
	size_t bytes = pci_msix_table_bytes(msix);

	if (json_object_size(state) != 2)
		return error_set(err, EINVAL,
				 "expected an object of table and pending");
	if (json_blob_get(json_object_get(state, "table"), table, bytes) < 0)
		return error_set(err, EINVAL,
				 "table: expected %zu bytes, %d for each of "
				 "%u vectors",
				 bytes, PCI_MSIX_ENTRY_SIZE,
				 msix->config.vectors);
	if (json_blob_get(json_object_get(state, "pending"), pending,
			  pci_msix_pba_bytes(msix)) < 0)
		return error_set(err, EINVAL,
				 "pending: expected %zu bytes, a bit for each "
				 "of %u vectors",
				 pci_msix_pba_bytes(msix),
				 msix->config.vectors);
	for (size_t i = 0; i < bytes; i++) {
		if (table[i] &
		    (uint8_t)~pci_msix_writable(i % PCI_MSIX_ENTRY_SIZE))
			return error_set(err, EINVAL,
					 "table: byte %zu is 0x%02x, which a "
					 "guest cannot write",
					 i, table[i]);
	}
	for (size_t i = msix->config.vectors; i < 8 * pci_msix_pba_bytes(msix);
	     i++) {
		if (pending[i / 8] & 1u << i % 8)
			return error_set(err, EINVAL,
					 "pending: there is no vector %zu", i);
	}
	return 0;
}

static void pci_msix_apply_locked(struct pci_msix *msix, const uint8_t *table,
				  const uint8_t *pending)
{
	pci_msix_reset_locked(msix);
	memcpy(msix->table, table, pci_msix_table_bytes(msix));
	for (unsigned int i = 0; i < msix->config.vectors; i++)
		msix->vectors[i].restored = pending[i / 8] & 1u << i % 8;
	pci_msix_take_control_locked(msix);
	pci_msix_follow_all_locked(msix);
}

int pci_msix_restore(struct pci_msix *msix, const json_t *state,
		     struct error *err)
{
	uint8_t *table = malloc(pci_msix_table_bytes(msix));
	uint8_t pending[PCI_MSIX_VECTORS_MAX / 8];
	int rc;

	if (!table)
		return error_set(err, ENOMEM, "out of memory");
	rc = pci_msix_load(msix, state, table, pending, err);
	if (!rc && msix->replay_fd < 0) {
		msix->replay_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (msix->replay_fd < 0)
			rc = error_set(err, errno, "eventfd: %s",
				       strerror(errno));
	}
	if (!rc) {
		pthread_mutex_lock(&msix->lock);
		pci_msix_apply_locked(msix, table, pending);
		pthread_mutex_unlock(&msix->lock);
	}
	free(table);
	return rc;
}
