# bantam: one build, no recursion. `make help` lists the targets.

ARCH          ?= $(shell uname -m)
CROSS_COMPILE ?=
SANITIZE      ?=
STATIC        ?=
WERROR        ?= $(if $(CI),1)
PREFIX        ?= /usr/local
DESTDIR       ?=
V             ?=

ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
ifeq ($(origin AR),default)
AR := $(CROSS_COMPILE)ar
endif
PKG_CONFIG ?= pkg-config

# A cross build takes its libraries from the packages that tests/setup/root.sh
# unpacked, where it did, or from where SYSROOT says.
SYSROOT ?= $(if $(CROSS_COMPILE),$(wildcard $(CURDIR)/cache/$(ARCH)/root))
ifneq ($(SYSROOT),)
lib_dir := $(SYSROOT)/usr/lib/$(ARCH)-linux-gnu
export PKG_CONFIG_SYSROOT_DIR := $(SYSROOT)
export PKG_CONFIG_LIBDIR := $(lib_dir)/pkgconfig:$(SYSROOT)/usr/share/pkgconfig
endif
target := $(if $(SYSROOT),--sysroot=$(SYSROOT)) \
	$(if $(and $(CROSS_COMPILE),$(findstring clang,$(CC))), \
		--target=$(CROSS_COMPILE:%-=%))

comma := ,
# Objects, and what is linked of them: a static program is made of the same ones.
O := build/$(ARCH)$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
B := $O$(if $(STATIC),-static)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

VERSION := 0.1

# --- What is compiled ------------------------------------------------------

dirs := vmm/base vmm arch/$(ARCH) pci acpi virtio jail
srcs := $(sort $(wildcard $(addsuffix /*.c,$(dirs)) $(addsuffix /*.S,$(dirs))))
objs := $(patsubst %,$O/%.o,$(basename $(srcs)))
main_obj := $O/vmm/main.o
lib := $B/libbantam.a
# libcrypto is loaded when it is wanted, but for a static program.
lib_objs := $(filter-out $(main_obj) $O/vmm/digest_library_$(if $(STATIC),loaded,linked).o,$(objs))

unit_srcs := $(sort $(wildcard tests/unit/test_*.c tests/unit/$(ARCH)/test_*.c))
unit_bins := $(unit_srcs:tests/unit/%.c=$B/tests/unit/%)
unit_support := $(patsubst %.c,$O/%.o,$(wildcard tests/unit/support/*.c \
	tests/unit/$(ARCH)/support/*.c))

libs := jansson liburing libseccomp libcap-ng liblz4 libzstd liblzma zlib \
	$(if $(STATIC),libcrypto)
# libfdt has no pkg-config file everywhere.
libs_aarch64 := -lfdt
LDLIBS = $(shell $(PKG_CONFIG) $(if $(STATIC),--static) --libs $(libs)) -lbz2 \
	$(libs_$(ARCH)) -pthread

warnings := -Wall -Wextra -Wformat=2 -Wshadow -Wundef -Wvla -Wcast-qual \
	-Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes \
	-Wimplicit-fallthrough -Wswitch-enum -Wnull-dereference \
	$(if $(WERROR),-Werror)
harden := -fstack-protector-strong $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2) -fPIE
CFLAGS ?= -O2 -g
all_cflags = $(target) -std=gnu11 $(warnings) $(harden) $(CFLAGS) -pthread \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
all_cppflags = -D_GNU_SOURCE -I. -DBANTAM_VERSION='"$(VERSION)"' $(CPPFLAGS)
all_ldflags = $(target) $(if $(STATIC),-static-pie,-pie) -Wl,-z,relro,-z,now,--as-needed \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

# --- Targets for users -----------------------------------------------------

.PHONY: all
all: $B/bantam ## build the program, build/ARCH/bantam (the default)

-include tests/targets.mk

share = $(DESTDIR)$(PREFIX)/share

.PHONY: install
install: $B/bantam ## install under DESTDIR and PREFIX
	install -D -m 0755 $B/bantam $(DESTDIR)$(PREFIX)/bin/bantam
	install -D -m 0644 docs/man/bantam.1 $(share)/man/man1/bantam.1
	install -D -m 0644 completions/bantam.bash \
		$(share)/bash-completion/completions/bantam
	install -D -m 0644 completions/_bantam \
		$(share)/zsh/site-functions/_bantam
	install -D -m 0644 completions/bantam.fish \
		$(share)/fish/vendor_completions.d/bantam.fish

.PHONY: man
man: $B/bantam ## write docs/man/bantam.1 from its frame and the options
	docs/man/page.sh $B/bantam >$B/bantam.1
	mv $B/bantam.1 docs/man/bantam.1

.PHONY: clean
clean: ## remove build/ (keep cache/, the downloads)
	rm -rf build

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | \
		awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'
	@echo "Variables: ARCH CROSS_COMPILE SYSROOT SANITIZE=address,undefined|thread" \
		"STATIC=1 WERROR=1 V=1 DESTDIR PREFIX"

# --- Rules -----------------------------------------------------------------

# $(call link,LIBRARY...): the objects and archives that it depends on.
define link
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_ldflags) -o $@ $(filter %.o %.a,$^) $1
endef

$B/bantam: $(main_obj) $(lib) $B/link-flags
	$(call link,$(LDLIBS))

$(lib): $(lib_objs)
	$(call say,AR,$@)
	$(Q)mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$O/%.o: %.c $O/flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_cppflags) $(all_cflags) -MMD -MP -c -o $@ $<

$O/%.o: %.S $O/flags
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_cppflags) $(all_cflags) -MMD -MP -c -o $@ $<

# An archive, so that a test gets no more than it calls.
$O/tests/unit/support.a: $(unit_support)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$B/tests/unit/%: $O/tests/unit/%.o $O/tests/unit/support.a $(lib) $B/link-flags
	$(call link,$$($(PKG_CONFIG) --libs check) $(LDLIBS))

# What is made depends on the flags that made it.
flags = $(Q)mkdir -p $(@D) && { echo '$1' | cmp -s - $@ || echo '$1' >$@; }

$O/flags: FORCE
	$(call flags,$(CC) $(all_cppflags) $(all_cflags))

$B/link-flags: FORCE
	$(call flags,$(CC) $(all_ldflags) $(LDLIBS))

.PHONY: FORCE
FORCE:

.SECONDARY:
-include $(objs:.o=.d) $(unit_srcs:%.c=$O/%.d) $(unit_support:.o=.d)
