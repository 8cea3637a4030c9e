# Freestanding guests, included from tests/targets.mk. Each tests/guest/NAME.c
# becomes $B/tests/guest/NAME.elf; boot.c is linked once for each boot protocol
# and wrapped into bzImages. $(guests) is all of them.

ifeq ($(ARCH),x86_64)

guest_dir := $B/tests/guest
guest_objcopy := $(CROSS_COMPILE)objcopy

# It fears for vector registers in interrupt handlers; there are none.
guest_clang := -Wno-interrupt-service-routine

# CPL 0 code may be interpreted (HOSTS.md), so nothing beyond plain x86-64; and
# the red zone does not survive an interrupt. With -O2 gcc would make memcpy() a
# call of memcpy().
guest_flags := -std=gnu11 -O1 -g -Itests/guest $(warnings) -march=x86-64 \
	-mgeneral-regs-only -mno-red-zone -ffreestanding -fno-pic -fno-pie \
	-fno-stack-protector -fno-strict-aliasing -fcf-protection=none \
	-fno-asynchronous-unwind-tables $(guest_clang)
guest_link := -nostdlib -static -Wl,-z,max-page-size=4096 \
	-Wl,-z,noexecstack -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
	-Wl,-T,tests/guest/lib/guest.lds

guest_lib := $(patsubst %.c,$(guest_dir)/lib/%.o,$(notdir \
		$(wildcard tests/guest/lib/*.c))) \
	$(guest_dir)/lib/irq_stubs.o $(guest_dir)/lib/smp_start.o

# By name: entered as Linux, 64 bits. boot.c has more doors than that.
guest_plain := $(patsubst tests/guest/%.c,$(guest_dir)/%.elf, \
	$(filter-out tests/guest/boot.c,$(wildcard tests/guest/*.c)))
guest_boot := $(addprefix $(guest_dir)/boot_,linux64.elf linux32.elf pvh.elf \
	pvh32.elf multiboot.elf multiboot.bin)
guest_formats := gzip xz lzma lz4 zstd bzip2
guest_bzimages := $(guest_formats:%=$(guest_dir)/%.bzimage) \
	$(addprefix $(guest_dir)/,gzip32.bzimage own64.bzimage own32.bzimage \
		bomb.bzimage bomb3g.bzimage)

# By PVH, for other monitors: QEMU takes an ELF kernel no other way.
guest_bench := $(guest_dir)/virtio_bench_pvh.elf

guests := $(guest_dir)/exit.elf $(guest_plain) $(guest_boot) $(guest_bzimages)

# --- Objects ----------------------------------------------------------------

$(guest_dir)/%.o: tests/guest/%.c $(guest_dir)/flags
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(guest_flags) -MMD -MP -c -o $@ $<

$(guest_dir)/%.o: tests/guest/%.S $(guest_dir)/flags
	$(call say,GUEST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(guest_flags) -MMD -MP -c -o $@ $<

guest_starts := $(addprefix $(guest_dir)/lib/start_,linux.o pvh.o multiboot.o)
$(guest_starts): $(guest_dir)/lib/start_%.o: tests/guest/lib/start.S \
		$(guest_dir)/flags
	$(call say,GUEST,$< ($*))
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(guest_flags) -DSTART_$(shell echo $* | tr a-z A-Z) \
		-MMD -MP -c -o $@ $<

$(guest_dir)/flags: FORCE
	$(call flags,$(CC) $(guest_flags))

# --- ELF and flat images ------------------------------------------------------

guest_ld = $(Q)$(CC) $(guest_link) -Wl,-e,$(1) -o $@ $(filter %.o,$^)
guest_lds := tests/guest/lib/guest.lds

$(guest_dir)/exit.elf: $(guest_dir)/exit.o $(guest_lds)
	$(call guest_ld,start64)

$(guest_plain): $(guest_dir)/%.elf: $(guest_dir)/%.o \
		$(guest_dir)/lib/start_linux.o $(guest_lib) $(guest_lds)
	$(call guest_ld,start64)

$(guest_bench): $(guest_dir)/%_pvh.elf: $(guest_dir)/%.o \
		$(guest_dir)/lib/start_pvh.o $(guest_lib) $(guest_lds)
	$(call guest_ld,start32)

$(guest_dir)/boot_linux64.elf: $(guest_dir)/boot.o \
		$(guest_dir)/lib/start_linux.o $(guest_lib) $(guest_lds)
	$(call guest_ld,start64)

$(guest_dir)/boot_pvh.elf: $(guest_dir)/boot.o $(guest_dir)/lib/start_pvh.o \
		$(guest_lib) $(guest_lds)
	$(call guest_ld,start32)

# What has to look like a 32-bit kernel is linked as any other guest and gets
# an ELF32 header afterwards.
$(guest_dir)/linux32.elf64: $(guest_dir)/boot.o \
		$(guest_dir)/lib/start_linux.o $(guest_lib) $(guest_lds)
	$(call guest_ld,start32)

$(guest_dir)/pvh32.elf64: $(guest_dir)/boot.o $(guest_dir)/lib/start_pvh.o \
		$(guest_lib) $(guest_lds)
	$(call guest_ld,start32)

$(guest_dir)/multiboot.elf64: $(guest_dir)/boot.o \
		$(guest_dir)/lib/start_multiboot.o $(guest_lib) $(guest_lds)
	$(call guest_ld,start32)

$(guest_dir)/boot_linux32.elf $(guest_dir)/boot_pvh32.elf \
$(guest_dir)/boot_multiboot.elf: $(guest_dir)/boot_%.elf: $(guest_dir)/%.elf64
	$(Q)$(guest_objcopy) -O elf32-i386 $< $@

$(guest_dir)/boot_multiboot.bin: $(guest_dir)/multiboot.elf64
	$(Q)$(guest_objcopy) -O binary $< $@

# --- bzImages -----------------------------------------------------------------

# The body is the boot guest itself, so that a bzImage works as well by its own
# entry points; with its .bss, since nobody zeroes it there. The options of the
# packers are kbuild's (scripts/Makefile.lib).
$(guest_dir)/body.bin: $(guest_dir)/boot_linux64.elf tests/guest/guest.mk
	$(Q)$(guest_objcopy) --set-section-flags .bss=alloc,load,contents \
		-O binary $< $@

guest_pack_gzip := gzip -9nc
guest_pack_xz := xz --check=crc32 --x86 --lzma2=dict=32MiB -c
guest_pack_lzma := lzma -9 -c
guest_pack_lz4 := lz4 -l -9 -c
guest_pack_zstd := zstd --ultra -22 -q -c
guest_pack_bzip2 := bzip2 -9c

$(guest_formats:%=$(guest_dir)/payload.%): $(guest_dir)/payload.%: \
		$(guest_dir)/boot_linux64.elf
	$(Q)$(guest_pack_$*) < $< > $@

$(guest_dir)/payload.gzip32: $(guest_dir)/boot_linux32.elf
	$(Q)$(guest_pack_gzip) < $< > $@

$(guest_dir)/payload.own64 $(guest_dir)/payload.own32: tests/guest/guest.mk
	$(Q)mkdir -p $(@D)
	$(Q)echo 'a format that nobody has heard of' > $@

# Decompression bombs: one that says what a kernel would, one that boasts.
$(guest_dir)/payload.bomb $(guest_dir)/payload.bomb3g: \
		$(guest_dir)/boot_linux64.elf
	$(Q)(cat $< && head -c 512M /dev/zero) | zstd -q -c > $@

# What each says that it unpacks to; a gzip stream says so itself.
guest_size = $$(stat -c %s $(guest_dir)/boot_linux64.elf)
$(guest_dir)/gzip.bzimage $(guest_dir)/gzip32.bzimage: guest_size :=
$(guest_dir)/bomb3g.bzimage: guest_size := 0xc0000000
guest_xloadflags := 1
$(guest_dir)/own32.bzimage: guest_xloadflags := 0

$(guest_bzimages): $(guest_dir)/%.bzimage: tests/guest/bzimage.S \
		tests/guest/bzimage.h $(guest_dir)/payload.% \
		$(guest_dir)/body.bin
	$(call say,GUEST,$@)
	$(Q)$(CC) -Itests/guest -nostdlib -static \
		-DBODY='"$(guest_dir)/body.bin"' \
		-DPAYLOAD='"$(guest_dir)/payload.$*"' \
		$(if $(guest_size),-DPAYLOAD_SIZE=$(guest_size)) \
		-DXLOADFLAGS=$(guest_xloadflags) -Wl,--build-id=none \
		-Wl,-Ttext=0,-e,0,--oformat=binary -o $@ $<

-include $(wildcard $(guest_dir)/*.d $(guest_dir)/lib/*.d)

else
guests :=
endif
