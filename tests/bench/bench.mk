# The bench, included from tests/targets.mk.

bench_bins := $(addprefix $B/tests/bench/,compare bare_kvm flood)

.PHONY: bench
bench: ## print speed and memory beside QEMU's
	@tests/setup/deps.sh build guest rig
	@$(submake) bench-build
	@$(check_env) tests/bench/run.sh

.PHONY: bench-build
bench-build: $B/bantam $(bench_bins) $B/tests/guest/exit.elf \
	$B/tests/guest/die.elf $(guest_bench)

$(bench_bins): %: %.o
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $^

-include $(bench_bins:=.d)
