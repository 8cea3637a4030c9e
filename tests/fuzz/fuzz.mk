# libFuzzer targets, included from tests/targets.mk: tests/fuzz/fuzz_NAME.c
# reads what a user's file or a guest may make up. Needs clang; the tree is
# built for it in a folder of its own. Findings and corpus stay under
# build/fuzz/.

FUZZ_SECONDS ?= 60
fuzz_sanitize := fuzzer-no-link,address,undefined
fuzz_names := $(sort $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c)))
fuzz_bins := $(fuzz_names:%=$B/tests/fuzz/%)

.PHONY: fuzz
fuzz: ## run each fuzzer for FUZZ_SECONDS (60)
	@tests/setup/deps.sh build check fuzz
	@$(submake) CC=clang SANITIZE=$(fuzz_sanitize) fuzz-run

.PHONY: fuzz-run
fuzz-run: $(fuzz_bins)
	@for name in $(fuzz_names); do \
		mkdir -p build/fuzz/$$name && \
		echo "fuzz: $$name for $(FUZZ_SECONDS) s" && \
		$B/tests/fuzz/$$name -max_total_time=$(FUZZ_SECONDS) \
			-timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/$$name- \
			build/fuzz/$$name || exit 1; \
	done

$B/tests/fuzz/%: $O/tests/fuzz/%.o $O/tests/unit/support.a $(lib) $B/link-flags
	$(call link,-fsanitize=fuzzer $$($(PKG_CONFIG) --libs check) $(LDLIBS))

# The parser of another architecture's kernels, in front of this one's.
$B/tests/fuzz/fuzz_kernel_arm64: $O/tests/fuzz/fuzz_kernel_arm64.o \
		$O/arch/aarch64/kernel.o $(lib) $B/link-flags
	$(call link,-fsanitize=fuzzer $(LDLIBS))
