/*
 * The bus's state: its registers, and each function's configuration space,
 * which says where its BARs are. The state may have been edited by anybody;
 * what no guest could have brought about is refused. Interrupt pins are driven
 * again by the devices.
 */
#include <errno.h>
#include <string.h>

#include "pci/bus_private.h"
#include "vmm/base/json.h"

static const struct json_field pci_bus_fields[] = {
	JSON_UINT_MAX(struct pci_bus_registers, config_address,
		      PCI_BUS_ADDRESS_MASK),
	JSON_UINT_MAX(struct pci_bus_registers, reset_control,
		      PCI_BUS_RESET_MASK),
};

#define PCI_BUS_FIELDS (sizeof(pci_bus_fields) / sizeof(pci_bus_fields[0]))

static json_t *pci_bus_save_functions_locked(const struct pci_bus *bus)
{
	json_t *functions = json_object();

	for (unsigned int i = 0; functions && i < PCI_BUS_DEVFNS; i++) {
		const struct pci_device *device = bus->functions[i];

		if (!device)
			continue;
		if (json_object_set_new(
			    functions, pci_bus_name(i).text,
			    json_blob(device->config, sizeof(device->config))) <
		    0) {
			json_decref(functions);
			return NULL;
		}
	}
	return functions;
}

int pci_bus_save(void *self, json_t **out)
{
	struct pci_bus *bus = self;
	json_t *registers = NULL, *functions;

	pthread_mutex_lock(&bus->lock);
	json_save(&bus->registers, pci_bus_fields, PCI_BUS_FIELDS, &registers);
	functions = pci_bus_save_functions_locked(bus);
	pthread_mutex_unlock(&bus->lock);
	/* Takes both references, and fails if one of them is NULL. */
	*out = json_pack("{s:o, s:o}", "registers", registers, "functions",
			 functions);
	return *out ? 0 : -ENOMEM;
}

/* Check the saved state of one function, and take it if @apply. */
static int pci_bus_restore_function_locked(struct pci_bus *bus,
					   unsigned int index,
					   const json_t *functions, bool apply,
					   struct error *err)
{
	struct pci_bus_name name = pci_bus_name(index);
	uint8_t config[PCI_DEVICE_CONFIG_SIZE];
	unsigned int offset;

	if (json_blob_get(json_object_get(functions, name.text), config,
			  sizeof(config)) < 0)
		return error_set(err, EINVAL,
				 "functions.%s: expected the %d bytes of its "
				 "configuration space",
				 name.text, PCI_DEVICE_CONFIG_SIZE);
	if (!pci_device_accepts(bus->functions[index], config, &offset))
		return error_set(err, EINVAL,
				 "functions.%s: byte 0x%x is 0x%02x, which "
				 "this machine's device cannot hold",
				 name.text, offset, config[offset]);
	if (apply)
		memcpy(bus->functions[index]->config, config, sizeof(config));
	return 0;
}

static int pci_bus_restore_functions_locked(struct pci_bus *bus,
					    const json_t *functions, bool apply,
					    struct error *err)
{
	size_t count = 0;
	int ret;

	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (!bus->functions[i])
			continue;
		ret = pci_bus_restore_function_locked(bus, i, functions, apply,
						      err);
		if (ret < 0)
			return ret;
		count++;
	}
	if (json_object_size(functions) != count)
		return error_set(err, EINVAL,
				 "functions: expected the %zu of this machine, "
				 "found %zu",
				 count, json_object_size(functions));
	return 0;
}

static int pci_bus_restore_locked(struct pci_bus *bus, const json_t *registers,
				  const json_t *functions, struct error *err)
{
	struct pci_bus_registers loaded;
	int ret;

	ret = json_load(&loaded, pci_bus_fields, PCI_BUS_FIELDS, registers,
			err);
	if (ret < 0)
		return ret;
	if (loaded.config_address & ~PCI_BUS_ADDRESS_MASK ||
	    loaded.reset_control & ~PCI_BUS_RESET_MASK)
		return error_set(err, EINVAL,
				 "registers: config_address 0x%x or "
				 "reset_control 0x%x is not a value that the "
				 "register can hold",
				 loaded.config_address, loaded.reset_control);
	/* First look at all, so that a refusal changes nothing. */
	ret = pci_bus_restore_functions_locked(bus, functions, false, err);
	if (ret < 0)
		return ret;
	pci_bus_restore_functions_locked(bus, functions, true, NULL);
	bus->registers = loaded;
	for (unsigned int i = 0; i < PCI_BUS_DEVFNS; i++) {
		if (bus->functions[i])
			pci_bus_follow_intx_locked(bus, bus->functions[i]);
	}
	pci_bus_follow_bars_locked(bus);
	return 0;
}

int pci_bus_restore(void *self, const json_t *state, struct error *err)
{
	struct pci_bus *bus = self;
	const json_t *registers = json_object_get(state, "registers");
	const json_t *functions = json_object_get(state, "functions");
	int ret;

	if (!registers || !functions || json_object_size(state) != 2)
		return error_set(err, EINVAL,
				 "expected an object of registers and "
				 "functions");
	pthread_mutex_lock(&bus->lock);
	ret = pci_bus_restore_locked(bus, registers, functions, err);
	pthread_mutex_unlock(&bus->lock);
	return ret;
}
