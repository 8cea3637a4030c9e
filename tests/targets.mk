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

check_env = B=$B BANTAM=$(CURDIR)/$B/bantam UNIT='$(unit_bins)'

# Not by its own name in the recipe, which make -n would then run.
demo_make = $(MAKE)

.PHONY: demo
demo: ## boot Debian's kernel with a busybox user space, once
	@B=$B MAKE='$(demo_make)' tests/demo.sh

.PHONY: check
check: ## build and run all tests
	@tests/setup/deps.sh build guest rig check
	@$(submake) check-build
	@$(check_env) tests/check.sh layers unit cli guest script rig

.PHONY: check-fast
check-fast: ## unit tests, freestanding guests, scripts: about a minute
	@tests/setup/deps.sh build guest check
	@$(submake) check-build
	@$(check_env) tests/check.sh layers unit cli guest script

.PHONY: check-full
check-full: check lint fuzz ## all of that, every kind of device, sanitizers, fuzzers
	@$(check_env) tests/rig/check.sh linux full
	@$(submake) SANITIZE=address,undefined check-fast
	@$(submake) SANITIZE=thread check-fast

.PHONY: check-build
check-build: $B/bantam $(script_bins) $(unit_bins) $(guests)

.PHONY: lint
lint: ## layout, static analysis, scripts, manual pages
	@tests/setup/deps.sh build check lint
	@CPPFLAGS="$(subst ",\",$(all_cppflags))" tests/lint/run.sh

$(script_bins): $B/tests/script/%: $B/tests/script/%.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $^
