#include "vmm/confine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jail/filter.h"
#include "jail/jail.h"
#include "virtio/seccomp.h"
#include "vmm/confine_lists.h"

struct confine {
	const struct options *options; /* borrowed */
	bool filters;		       /* wanted */

	pthread_mutex_t lock; /* of the two below; the first vCPU makes it */
	struct jail_filter *vcpu;
	int vcpu_failed; /* 0 or a negative errno */
};

/* Whether a model runs in this process. */
static bool confine_has_models(const struct options *options)
{
	for (size_t i = 0; i < options->disks.count; i++)
		if (options->disks.items[i].common.sandbox ==
		    VIRTIO_SANDBOX_OFF)
			return true;
	for (size_t i = 0; i < options->nets.count; i++)
		if (options->nets.items[i].common.sandbox == VIRTIO_SANDBOX_OFF)
			return true;
	/* The console's and the rng's need nothing of their own. */
	return false;
}

static int confine_make(struct jail_filter **out,
			const struct syscall_list *list,
			const struct options *options, struct error *err)
{
	const struct syscall_list *const lists[] = {list, &virtio_seccomp_block,
						    &virtio_seccomp_net};
	const unsigned int count = confine_has_models(options) ? 3 : 1;

	return jail_filter_new(out, lists, count,
			       options->sandbox == VIRTIO_SANDBOX_LOG
				       ? JAIL_FILTER_LOG
				       : JAIL_FILTER_KILL,
			       err);
}

int confine_new(struct confine **out, const struct options *options,
		struct error *err)
{
	struct confine *confine = calloc(1, sizeof(*confine));

	if (!confine)
		return error_set(err, ENOMEM, "out of memory");
	confine->options = options;
	confine->filters =
		options->sandbox != VIRTIO_SANDBOX_OFF && jail_has_filter();
	pthread_mutex_init(&confine->lock, NULL);
	*out = confine;
	return 0;
}

void confine_free(struct confine *confine)
{
	if (!confine)
		return;
	jail_filter_free(confine->vcpu);
	pthread_mutex_destroy(&confine->lock);
	free(confine);
}

int confine_rights(struct error *err)
{
	const char *what = "";
	int ret = jail_rights_drop(&what);

	return ret < 0 ? error_set(err, -ret, "cannot give up rights: %s: %s",
				   what, strerror(-ret))
		       : 0;
}

int confine_vcpu(struct confine *confine)
{
	int ret;

	if (!confine->filters)
		return 0;
	pthread_mutex_lock(&confine->lock);
	if (!confine->vcpu && !confine->vcpu_failed)
		confine->vcpu_failed =
			confine_make(&confine->vcpu, &confine_vcpu_list,
				     confine->options, NULL);
	ret = confine->vcpu_failed;
	pthread_mutex_unlock(&confine->lock);
	return ret ? ret : jail_filter_apply(confine->vcpu);
}

int confine_main(const struct confine *confine, struct error *err)
{
	struct jail_filter *filter;
	int ret;

	if (!confine->filters)
		return 0;
	ret = confine_make(&filter, &confine_main_list, confine->options, err);
	if (ret < 0)
		return ret;
	ret = jail_filter_apply(filter);
	jail_filter_free(filter);
	return ret < 0 ? error_set(err, -ret,
				   "cannot load a filter of system calls: %s; "
				   "--sandbox off runs without",
				   strerror(-ret))
		       : 0;
}
