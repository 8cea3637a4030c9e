#include "arch/aarch64/vcpu_walk.h"

#include <errno.h>
#include <stdbool.h>

#include "vmm/base/bytes.h"

#define SCTLR_M 1u

/* TCR_EL1: the half of TTBR0 and that of TTBR1 code granules differently. */
#define TCR_T0SZ(tcr) ((unsigned int)(tcr)&0x3f)
#define TCR_T1SZ(tcr) ((unsigned int)((tcr) >> 16) & 0x3f)
#define TCR_TG0(tcr)  ((tcr) >> 14 & 3)
#define TCR_TG1(tcr)  ((tcr) >> 30 & 3)

#define DESC_VALID 1u
#define DESC_TABLE 2u /* a page, in the last level */

#define ADDRESS_MASK ((UINT64_C(1) << 48) - 1) /* of tables and output */

/* How one half of the address space is translated. */
struct vcpu_regime {
	uint64_t table;
	unsigned int bits;    /* of an address */
	unsigned int granule; /* bits of an offset in a page; 0: reserved */
};

static struct vcpu_regime vcpu_walk_regime(const struct vcpu_walk *walk,
					   bool high)
{
	static const unsigned int granules0[] = {12, 16, 14, 0};
	static const unsigned int granules1[] = {0, 14, 12, 16};

	return (struct vcpu_regime){
		.table = (high ? walk->ttbr1 : walk->ttbr0) & ADDRESS_MASK &
			 ~UINT64_C(1),
		.bits = 64 - (high ? TCR_T1SZ(walk->tcr) : TCR_T0SZ(walk->tcr)),
		.granule = high ? granules1[TCR_TG1(walk->tcr)]
				: granules0[TCR_TG0(walk->tcr)],
	};
}

/* Whether the bits that select no table repeat the one that selects the half;
 * the top byte may be a tag. */
static bool vcpu_walk_canonical(uint64_t va, unsigned int bits, bool high)
{
	uint64_t rest = va << 8 >> 8 >> bits;

	return bits >= 56 || rest == (high ? UINT64_MAX << 8 >> 8 >> bits : 0);
}

static int vcpu_walk_tables(const struct vcpu_regime *regime,
			    const struct guest_mem *mem, uint64_t va,
			    uint64_t *pa)
{
	unsigned int stride = regime->granule - 3;
	unsigned int levels =
		(regime->bits - regime->granule + stride - 1) / stride;
	uint64_t in = va & (UINT64_MAX >> (64 - regime->bits));
	uint64_t table = regime->table;

	while (levels--) {
		unsigned int shift = regime->granule + levels * stride;
		uint64_t index = in >> shift & ((UINT64_C(1) << stride) - 1);
		uint64_t offset = (UINT64_C(1) << shift) - 1;
		uint64_t desc;
		le64 raw;

		if (guest_mem_read(mem, table + 8 * index, &raw, sizeof(raw)))
			return -EFAULT;
		desc = le64_get(raw);
		if (!(desc & DESC_VALID) || (!levels && !(desc & DESC_TABLE)))
			return -EFAULT;
		if (!levels || !(desc & DESC_TABLE)) {
			*pa = (desc & ADDRESS_MASK & ~offset) | (in & offset);
			return 0;
		}
		table = desc & ADDRESS_MASK &
			~((UINT64_C(1) << regime->granule) - 1);
	}
	return -EFAULT;
}

int vcpu_walk(const struct vcpu_walk *walk, const struct guest_mem *mem,
	      uint64_t va, uint64_t *pa)
{
	bool high = va >> 55 & 1;
	struct vcpu_regime regime = vcpu_walk_regime(walk, high);

	if (!(walk->sctlr & SCTLR_M)) {
		*pa = va;
		return 0;
	}
	if (!regime.granule || regime.bits <= regime.granule ||
	    regime.bits > 52 || !vcpu_walk_canonical(va, regime.bits, high))
		return -EFAULT;
	return vcpu_walk_tables(&regime, mem, va, pa);
}
