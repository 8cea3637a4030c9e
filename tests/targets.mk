# The targets around the program: demo, check, check-fast, lint. Included by
# the Makefile. What they need is installed by tests/setup/deps.sh first, which
# is why the building is left to a second make.

include tests/guest/guest.mk
include tests/bench/bench.mk
include tests/fuzz/fuzz.mk

# As many jobs as there are CPUs, unless the user said how many.
submake = $(MAKE) --no-print-directory \
	$(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

script_bins := $B/tests/script/hostile $B/tests/script/talk

# Not by its own name in the recipe, which make -n would then run.
demo_make = $(MAKE)

check_env = ARCH=$(ARCH) B=$B BANTAM=$(CURDIR)/$B/bantam UNIT='$(unit_bins)' \
	MAKE='$(demo_make)'

# What runs where: another architecture's programs under QEMU's user emulator
# and in its rig, beside what this one's do. What takes longest begins.
check_groups := layers unit cli guest script rig
ifneq ($(CROSS_COMPILE),)
check_groups := layers unit rig
check_env += UNIT_EMULATOR=qemu-$(ARCH)-static
else ifeq ($(ARCH),aarch64)
check_groups := layers unit cli rig
else
check_groups := linux+arm+layers+unit+cli+guest+script+kvm+rest
check_arm := y
endif

.PHONY: demo
demo: ## boot Debian's kernel with a busybox user space, once
	@B=$B MAKE='$(demo_make)' tests/demo.sh

.PHONY: check
check: ## build and run all tests
	@tests/setup/deps.sh build guest rig check \
		$(if $(CROSS_COMPILE)$(check_arm),cross arm)
	@$(submake) check-build
	@$(if $(check_arm),$(submake) STATIC=1 build/$(ARCH)-static/bantam)
	@$(check_env) tests/check.sh $(check_groups)

.PHONY: check-list
check-list:
	@echo $(unit_bins)

.PHONY: check-fast
check-fast: ## unit tests, freestanding guests, scripts: about a minute
	@tests/setup/deps.sh build guest check
	@$(submake) check-build
	@$(check_env) tests/check.sh layers unit cli guest script

.PHONY: check-full
check-full: check lint fuzz ## all of that, every kind of device, sanitizers, fuzzers
	@tests/setup/deps.sh full
	@$(check_env) tests/rig/check.sh linux full
	@$(submake) SANITIZE=address,undefined check-fast
	@$(submake) SANITIZE=thread check-fast

.PHONY: check-build
check-build: $B/bantam $(script_bins) $(unit_bins) $(guests)

.PHONY: lint
lint: ## layout, static analysis, scripts, manual pages
	@tests/setup/deps.sh build check lint
	@CPPFLAGS="$(subst ",\",$(all_cppflags))" tests/lint/run.sh

$(script_bins): $B/%: $O/%.o $B/link-flags
	$(call link)
