#include "arch/aarch64/vgic_regs.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "vmm/base/json.h"

/* --- KVM's devices --------------------------------------------------------
 */

int vgic_attr(int dev_fd, uint32_t group, uint64_t attr, const void *data,
	      const char *what, struct error *err)
{
	struct kvm_device_attr request = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)data,
	};
	int errnum;

	if (ioctl(dev_fd, KVM_SET_DEVICE_ATTR, &request) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "KVM_SET_DEVICE_ATTR: %s: %s", what,
			 strerror(errnum));
}

int vgic_device_new(int vm_fd, uint32_t type, int *dev_fd, const char *what,
		    struct error *err)
{
	struct kvm_create_device device = {.type = type};
	int errnum;

	*dev_fd = -1;
	if (ioctl(vm_fd, KVM_CREATE_DEVICE, &device) < 0) {
		errnum = errno;
		return error_set(err, errnum, "KVM_CREATE_DEVICE: %s: %s", what,
				 strerror(errnum));
	}
	*dev_fd = (int)device.fd;
	return 0;
}

bool vgic_device_there(int vm_fd, uint32_t type)
{
	struct kvm_create_device device = {
		.type = type,
		.flags = KVM_CREATE_DEVICE_TEST,
	};

	return ioctl(vm_fd, KVM_CREATE_DEVICE, &device) == 0;
}

/* --- Walking the tables ---------------------------------------------------
 */

static size_t vgic_row_width(const struct vgic_row *row)
{
	return row->wide ? sizeof(uint64_t) : sizeof(uint32_t);
}

static unsigned int vgic_row_cpus(const struct vgic_regs *regs,
				  const struct vgic_row *row)
{
	return row->per_cpu ? regs->cpus : 1;
}

/* Bytes, aligned so that every row begins at a multiple of 8. */
static size_t vgic_row_size(const struct vgic_regs *regs,
			    const struct vgic_row *row)
{
	size_t size =
		vgic_row_width(row) * row->count * vgic_row_cpus(regs, row);

	return (size + 7) & ~(size_t)7;
}

static size_t vgic_row_offset(const struct vgic_regs *regs, unsigned int index)
{
	size_t offset = 0;

	for (unsigned int i = 0; i < index; i++)
		offset += vgic_row_size(regs, &regs->rows[i]);
	return offset;
}

size_t vgic_regs_size(const struct vgic_regs *regs)
{
	return vgic_row_offset(regs, regs->row_count);
}

/* Register @index of a row, of vCPU @cpu; data points to its value. */
static int vgic_row_access(const struct vgic_regs *regs,
			   const struct vgic_row *row, unsigned long request,
			   unsigned int cpu, uint32_t offset, void *data,
			   struct error *err)
{
	struct kvm_device_attr attr = {
		.group = row->group,
		.attr = (uint64_t)regs->keys[cpu] << 32 | offset,
		.addr = (uintptr_t)data,
	};
	int errnum;

	if (ioctl(regs->dev_fd, request, &attr) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s: %s of vCPU %u, at 0x%x: %s",
			 request == KVM_SET_DEVICE_ATTR ? "KVM_SET_DEVICE_ATTR"
							: "KVM_GET_DEVICE_ATTR",
			 row->name, cpu, offset, strerror(errnum));
}

/* All registers of a row, one after the other. */
static int vgic_row_walk(const struct vgic_regs *regs,
			 const struct vgic_row *row, unsigned long request,
			 uint8_t *data, struct error *err)
{
	int rc = 0;

	for (unsigned int cpu = 0; cpu < vgic_row_cpus(regs, row); cpu++) {
		for (unsigned int i = 0; i < row->count && !rc; i++) {
			rc = vgic_row_access(regs, row, request, cpu,
					     row->offset + i * row->step, data,
					     err);
			data += vgic_row_width(row);
		}
	}
	return rc;
}

int vgic_regs_fill(const struct vgic_regs *regs, const struct vgic_row *row,
		   uint64_t value, struct error *err)
{
	uint32_t narrow = (uint32_t)value;
	void *data = row->wide ? (void *)&value : &narrow;
	int rc = 0;

	for (unsigned int cpu = 0; cpu < vgic_row_cpus(regs, row); cpu++) {
		for (unsigned int i = 0; i < row->count && !rc; i++)
			rc = vgic_row_access(regs, row, KVM_SET_DEVICE_ATTR,
					     cpu, row->offset + i * row->step,
					     data, err);
	}
	return rc;
}

int vgic_regs_read(const struct vgic_regs *regs, void *state, struct error *err)
{
	uint8_t *data = state;
	int rc = 0;

	for (unsigned int i = 0; i < regs->row_count && !rc; i++) {
		rc = vgic_row_walk(regs, &regs->rows[i], KVM_GET_DEVICE_ATTR,
				   data, err);
		data += vgic_row_size(regs, &regs->rows[i]);
	}
	return rc;
}

static int vgic_row_clear(const struct vgic_regs *regs,
			  const struct vgic_row *row, struct error *err)
{
	struct vgic_row clear = *row;

	clear.offset = row->clear;
	return vgic_regs_fill(regs, &clear, UINT64_MAX, err);
}

int vgic_regs_write(const struct vgic_regs *regs, const void *state,
		    unsigned int first, unsigned int count, struct error *err)
{
	/* KVM_SET_DEVICE_ATTR only reads it. */
	uint8_t *data = (uint8_t *)(uintptr_t)state;
	int rc = 0;

	data += vgic_row_offset(regs, first);
	for (unsigned int i = first; i < first + count && !rc; i++) {
		const struct vgic_row *row = &regs->rows[i];

		if (row->clear)
			rc = vgic_row_clear(regs, row, err);
		if (!rc)
			rc = vgic_row_walk(regs, row, KVM_SET_DEVICE_ATTR, data,
					   err);
		data += vgic_row_size(regs, row);
	}
	return rc;
}

/* --- JSON -----------------------------------------------------------------
 */

json_t *vgic_regs_save(const struct vgic_regs *regs, const void *state)
{
	const uint8_t *data = state;
	json_t *object = json_object();

	for (unsigned int i = 0; i < regs->row_count && object; i++) {
		const struct vgic_row *row = &regs->rows[i];
		size_t size = vgic_row_size(regs, row);

		/* Setting a member to NULL fails. */
		if (json_object_set_new(object, row->name,
					json_blob(data, size))) {
			json_decref(object);
			object = NULL;
		}
		data += size;
	}
	return object;
}

int vgic_regs_load(const struct vgic_regs *regs, void *state,
		   const json_t *value, struct error *err)
{
	uint8_t *data = state;

	if (json_object_size(value) > regs->row_count)
		return error_set(err, EINVAL, "expected %u members, found %zu",
				 regs->row_count, json_object_size(value));
	for (unsigned int i = 0; i < regs->row_count; i++) {
		const struct vgic_row *row = &regs->rows[i];
		size_t size = vgic_row_size(regs, row);

		if (json_blob_get(json_object_get(value, row->name), data,
				  size))
			return error_set(err, EINVAL,
					 "\"%s\": expected %zu bytes as "
					 "hexadecimal text",
					 row->name, size);
		data += size;
	}
	return 0;
}
