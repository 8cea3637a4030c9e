/*
 * KVM's interrupt controllers, timer and clock. They run in the kernel; here
 * they are made, wired, saved and restored. What is restored may have been
 * edited by anybody; KVM takes any value of these registers.
 *
 * Follows Documentation/virt/kvm/api.rst of Linux; the registers are those of
 * Intel's 8259A, 82093AA (IOAPIC) and 8254.
 *
 * Not saved, because KVM says the same in every VM or finds it out again:
 *
 * - the IOAPIC's address, which nothing can change;
 * - the levels of the input pins, which the devices drive again;
 * - when each counter of the 8254 was loaded, a time of the host: KVM loads
 *   them anew when they are restored.
 *
 * A reset leaves the clock alone, as it does the TSC: kvmclock, which is both
 * together, goes on, and the guest's next kernel sets it up for itself.
 */
#include "arch/x86_64/irqchip.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/x86_64/layout.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define PIC_PINS    8 /* each */
#define PIC_CASCADE 2 /* the second 8259A's output: no interrupt */

/* KVM's 8254 raises interrupt 0, which ACPI's MADT says is pin 2. */
#define PIT_GSI 0
#define PIT_PIN 2

/* 8254: 65536 is written as 0 */
#define PIT_COUNT_MAX 0x10000

static_assert(IOAPIC_PINS == KVM_IOAPIC_NUM_PINS, "the IOAPIC is KVM's");

/* What is saved, and noted for a reset. */
struct irqchip_state {
	struct kvm_irqchip pic_master, pic_slave, ioapic;
	struct kvm_pit_state2 pit; /* legacy */
	struct kvm_clock_data clock;
};

struct irqchip {
	int vm_fd; /* borrowed */
	bool legacy;
	struct irqchip_state power_on;
};

/* A call of KVM on the VM. */
static int irqchip_ioctl(int vm_fd, unsigned long request, unsigned long arg,
			 const char *name, struct error *err)
{
	int errnum;

	if (ioctl(vm_fd, request, arg) == 0)
		return 0;
	errnum = errno;
	return error_set(err, errnum, "%s: %s", name, strerror(errnum));
}

#define IRQCHIP_IOCTL(vm_fd, request, arg, err) \
	irqchip_ioctl(vm_fd, request, (unsigned long)(arg), #request, err)

/* --- Routes --------------------------------------------------------------- */

static struct kvm_irq_routing_entry
irqchip_route(unsigned int gsi, unsigned int chip, unsigned int pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

unsigned int irqchip_routes(bool legacy, struct kvm_irq_routing_entry *routes)
{
	unsigned int count = 0;

	for (unsigned int gsi = 0; gsi < KVM_IOAPIC_NUM_PINS; gsi++) {
		unsigned int pin = legacy && gsi == PIT_GSI ? PIT_PIN : gsi;

		if (legacy && gsi == PIC_CASCADE)
			continue;
		routes[count++] = irqchip_route(gsi, KVM_IRQCHIP_IOAPIC, pin);
		if (!legacy || gsi >= 2 * PIC_PINS)
			continue;
		routes[count++] =
			irqchip_route(gsi,
				      gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER
						     : KVM_IRQCHIP_PIC_SLAVE,
				      gsi % PIC_PINS);
	}
	return count;
}

/* --- State ---------------------------------------------------------------- */

static int irqchip_read(const struct irqchip *irqchip,
			struct irqchip_state *state, struct error *err)
{
	int vm_fd = irqchip->vm_fd;
	int ret;

	*state = (struct irqchip_state){
		.pic_master.chip_id = KVM_IRQCHIP_PIC_MASTER,
		.pic_slave.chip_id = KVM_IRQCHIP_PIC_SLAVE,
		.ioapic.chip_id = KVM_IRQCHIP_IOAPIC,
	};
	ret = IRQCHIP_IOCTL(vm_fd, KVM_GET_CLOCK, &state->clock, err);
	if (!ret && irqchip->legacy)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_GET_PIT2, &state->pit, err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_GET_IRQCHIP, &state->pic_master,
				    err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_GET_IRQCHIP, &state->pic_slave,
				    err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_GET_IRQCHIP, &state->ioapic,
				    err);
	return ret;
}

/* Everything but the clock. */
static int irqchip_write(const struct irqchip *irqchip,
			 const struct irqchip_state *state, struct error *err)
{
	int vm_fd = irqchip->vm_fd;
	int ret;

	ret = IRQCHIP_IOCTL(vm_fd, KVM_SET_IRQCHIP, &state->pic_master, err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_SET_IRQCHIP, &state->pic_slave,
				    err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_SET_IRQCHIP, &state->ioapic,
				    err);
	if (!ret && irqchip->legacy)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_SET_PIT2, &state->pit, err);
	return ret;
}

/* --- JSON ----------------------------------------------------------------- */

#define PIC(member) JSON_UINT(struct kvm_pic_state, member)
static const struct json_field irqchip_pic_fields[] = {
	PIC(last_irr),
	PIC(irr),
	PIC(imr),
	PIC(isr),
	PIC(priority_add),
	PIC(irq_base),
	PIC(read_reg_select),
	PIC(poll),
	PIC(special_mask),
	PIC(init_state),
	PIC(auto_eoi),
	PIC(rotate_on_auto_eoi),
	PIC(special_fully_nested_mode),
	PIC(init4),
	PIC(elcr),
	PIC(elcr_mask),
};

#define PIN(n) JSON_UINT(struct kvm_ioapic_state, redirtbl[n].bits)
static const struct json_field irqchip_ioapic_fields[] = {
	JSON_UINT(struct kvm_ioapic_state, ioregsel),
	JSON_UINT(struct kvm_ioapic_state, id),
	JSON_UINT(struct kvm_ioapic_state, irr),
	PIN(0),
	PIN(1),
	PIN(2),
	PIN(3),
	PIN(4),
	PIN(5),
	PIN(6),
	PIN(7),
	PIN(8),
	PIN(9),
	PIN(10),
	PIN(11),
	PIN(12),
	PIN(13),
	PIN(14),
	PIN(15),
	PIN(16),
	PIN(17),
	PIN(18),
	PIN(19),
	PIN(20),
	PIN(21),
	PIN(22),
	PIN(23),
};

#define CHANNEL(member) JSON_UINT(struct kvm_pit_channel_state, member)
static const struct json_field irqchip_pit_fields[] = {
	JSON_UINT_MAX(struct kvm_pit_channel_state, count, PIT_COUNT_MAX),
	CHANNEL(latched_count),
	CHANNEL(count_latched),
	CHANNEL(status_latched),
	CHANNEL(status),
	CHANNEL(read_state),
	CHANNEL(write_state),
	CHANNEL(write_latch),
	CHANNEL(rw_mode),
	CHANNEL(mode),
	CHANNEL(bcd),
	CHANNEL(gate),
};

static const struct json_field irqchip_pit_flag_fields[] = {
	JSON_UINT_MAX(struct kvm_pit_state2, flags,
		      KVM_PIT_FLAGS_SPEAKER_DATA_ON),
};

static const struct json_field irqchip_clock_fields[] = {
	JSON_UINT(struct kvm_clock_data, clock),
};

/* A part is one member of the JSON object. */
struct irqchip_part {
	const char *name;
	size_t offset; /* in struct irqchip_state */
	const struct json_field *fields;
	size_t count;
};

#define PART(key, member, table)                                  \
	{                                                         \
		.name = (key),                                    \
		.offset = offsetof(struct irqchip_state, member), \
		.fields = (table), .count = COUNT_OF(table),      \
	}
/* Those of the 8254 come last. */
static const struct irqchip_part irqchip_parts[] = {
	PART("pic_master", pic_master.chip.pic, irqchip_pic_fields),
	PART("pic_slave", pic_slave.chip.pic, irqchip_pic_fields),
	PART("ioapic", ioapic.chip.ioapic, irqchip_ioapic_fields),
	PART("clock", clock, irqchip_clock_fields),
	PART("pit", pit, irqchip_pit_flag_fields),
	PART("pit_channel_0", pit.channels[0], irqchip_pit_fields),
	PART("pit_channel_1", pit.channels[1], irqchip_pit_fields),
	PART("pit_channel_2", pit.channels[2], irqchip_pit_fields),
};
#define IRQCHIP_PARTS_PIT 4

static size_t irqchip_part_count(const struct irqchip *irqchip)
{
	return COUNT_OF(irqchip_parts) -
	       (irqchip->legacy ? 0 : IRQCHIP_PARTS_PIT);
}

static int irqchip_save(void *self, json_t **out)
{
	struct irqchip *irqchip = self;
	struct irqchip_state state;
	json_t *object;
	json_t *part;
	int ret;

	ret = irqchip_read(irqchip, &state, NULL);
	if (ret)
		return ret;
	object = json_object();
	if (!object)
		return -ENOMEM;
	for (size_t i = 0; i < irqchip_part_count(irqchip); i++) {
		const struct irqchip_part *p = &irqchip_parts[i];

		if (json_save((const char *)&state + p->offset, p->fields,
			      p->count, &part) ||
		    json_object_set_new(object, p->name, part)) {
			json_decref(object);
			return -ENOMEM;
		}
	}
	*out = object;
	return 0;
}

/* Fill the members that are saved. */
static int irqchip_load(const struct irqchip *irqchip,
			struct irqchip_state *state, const json_t *value,
			struct error *err)
{
	size_t count = irqchip_part_count(irqchip);

	if (json_object_size(value) > count)
		return error_set(err, EINVAL, "expected %zu members, found %zu",
				 count, json_object_size(value));
	for (size_t i = 0; i < count; i++) {
		const struct irqchip_part *p = &irqchip_parts[i];
		int ret = json_load((char *)state + p->offset, p->fields,
				    p->count, json_object_get(value, p->name),
				    err);

		if (ret) {
			error_prefix(err, "\"%s\": ", p->name);
			return ret;
		}
	}
	return 0;
}

static int irqchip_restore(void *self, const json_t *value, struct error *err)
{
	struct irqchip *irqchip = self;
	struct irqchip_state state = irqchip->power_on;
	struct kvm_clock_data clock;
	int ret;

	ret = irqchip_load(irqchip, &state, value, err);
	if (ret)
		return ret;
	ret = irqchip_write(irqchip, &state, err);
	if (ret)
		return ret;
	/* No flags: the guest's clock goes on from where it stood. */
	clock = (struct kvm_clock_data){.clock = state.clock.clock};
	return IRQCHIP_IOCTL(irqchip->vm_fd, KVM_SET_CLOCK, &clock, err);
}

/* --- Life ----------------------------------------------------------------- */

static void irqchip_reset(void *self)
{
	struct irqchip *irqchip = self;
	struct error err;

	/* KVM took this state before, in irqchip_restore() or from itself. */
	if (irqchip_write(irqchip, &irqchip->power_on, &err))
		log_error("the interrupt controllers keep their state over a "
			  "reset: %s",
			  err.text);
}

static void irqchip_free(void *self)
{
	free(self);
}

const struct device_ops irqchip_device_ops = {
	.free = irqchip_free,
	.reset = irqchip_reset,
	.save = irqchip_save,
	.restore = irqchip_restore,
};

static int irqchip_create(int vm_fd, bool legacy, struct error *err)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity_page = LAYOUT_IDENTITY_PAGE;
	int ret;

	/* What KVM runs real mode with on older Intel CPUs. */
	ret = IRQCHIP_IOCTL(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_page,
			    err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS, err);
	if (!ret)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_CREATE_IRQCHIP, 0, err);
	if (!ret && legacy)
		ret = IRQCHIP_IOCTL(vm_fd, KVM_CREATE_PIT2, &pit, err);
	return ret;
}

int irqchip_new(struct irqchip **out, int vm_fd, bool legacy, struct error *err)
{
	struct irqchip *irqchip = calloc(1, sizeof(*irqchip));
	int ret;

	if (!irqchip)
		return error_set(err, ENOMEM,
				 "no memory for the interrupt controllers");
	irqchip->vm_fd = vm_fd;
	irqchip->legacy = legacy;
	ret = irqchip_create(vm_fd, legacy, err);
	if (!ret)
		ret = irqchip_read(irqchip, &irqchip->power_on, err);
	if (ret) {
		free(irqchip);
		return ret;
	}
	*out = irqchip;
	return 0;
}
