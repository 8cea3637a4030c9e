/*
 * Whether a file could be written later on.
 */
#include "vmm/writable.h"

#include <errno.h>
#include <libgen.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the effective user; also -EROFS and the like. */
static int writable_access(const char *path, int mode)
{
	return faccessat(AT_FDCWD, path, mode, AT_EACCESS) ? -errno : 0;
}

/* May files be made and renamed in the folder of what path leads to? */
static int writable_folder(const char *path)
{
	char *copy = realpath(path, NULL);
	int rc;

	if (!copy)
		copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	rc = writable_access(dirname(copy), W_OK | X_OK);
	free(copy);
	return rc;
}

int writable_check(const char *option, const char *path, bool beside,
		   enum writable_kind *kind, struct error *err)
{
	enum writable_kind found = WRITABLE_NEW;
	bool folder = true;
	struct stat st;
	int rc = 0;

	if (stat(path, &st) == 0) {
		found = S_ISREG(st.st_mode) ? WRITABLE_REGULAR : WRITABLE_OTHER;
		folder = found == WRITABLE_REGULAR && beside;
		rc = S_ISDIR(st.st_mode) ? -EISDIR
					 : writable_access(path, W_OK);
	} else if (errno != ENOENT || !*path || path[strlen(path) - 1] == '/') {
		rc = *path ? -errno : -ENOENT;
	}
	if (!rc && folder)
		rc = writable_folder(path);
	if (rc)
		return error_set(err, -rc, "%s %s: cannot be written: %s",
				 option, path, strerror(-rc));
	if (kind)
		*kind = found;
	return 0;
}
