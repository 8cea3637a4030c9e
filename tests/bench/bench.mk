# The bench, included from tests/targets.mk.

bench_bins := $B/tests/bench/compare $B/tests/bench/bare_jail
bench_guests :=
ifeq ($(ARCH),x86_64)
bench_bins += $B/tests/bench/bare_kvm $B/tests/bench/flood
bench_guests := $B/tests/guest/exit.elf $B/tests/guest/die.elf $(guest_bench)
endif

.PHONY: bench
bench: ## print speed and memory beside QEMU's
	@tests/setup/deps.sh build guest rig cross arm
	@$(submake) bench-build
	@$(submake) ARCH=aarch64 CROSS_COMPILE=aarch64-linux-gnu- STATIC=1 \
		WERROR=1 bench-build
	@$(check_env) tests/bench/run.sh

.PHONY: bench-build
bench-build: $B/bantam $(bench_bins) $(bench_guests)

$(bench_bins): $B/%: $O/%.o $B/link-flags
	$(call link)

-include $(bench_bins:$B/%=$O/%.d)
