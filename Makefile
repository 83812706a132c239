# One build for the suite. `make help` lists the targets.
#
#   make                       the programs and the library, in build/release/
#   make CC=clang SAN=address,undefined BUILD=asan check
#
# BUILD names the configuration and its folder below build/; SAN turns on
# sanitizers; WERROR=1 makes warnings errors; V=1 shows the commands.
# CFLAGS and LDFLAGS of the user come last and win.

CC       ?= cc
BUILD    ?= release
SAN      ?=
WERROR   ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
PYTHON   ?= /usr/bin/python3
OUT      := build/$(BUILD)

WARN := -Wall -Wextra -Wshadow -Wvla -Wundef -Wstrict-prototypes \
	-Wmissing-prototypes -Wformat=2 -Wcast-qual -Wpointer-arith \
	-Wwrite-strings -Wimplicit-fallthrough
ifeq (,$(findstring clang,$(CC)))
WARN += -Wjump-misses-init
endif
ifneq (,$(WERROR))
WARN += -Werror
endif
OPTIM := -O2 -g
ifneq (,$(SAN))
OPTIM := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) \
	-fno-sanitize-recover=all
endif
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -I. -fvisibility=hidden -pthread \
	$(OPTIM) $(WARN) $(ROOM_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(OPTIM) $(LDFLAGS)

# The rooms, lowest floor first, and the programs that live in them.
ROOMS    := base formats net s3 cache bucket fetch convert verify verify-run serve \
	lib
PROGRAMS := mlfetch mlcache mlconvert mlverify mlverify-run

# A room's library is all of it but its command line.
room_c   = $(filter-out $(1)/main.c $(1)/cmd_%.c,$(wildcard $(1)/*.c))
main_c   = $(wildcard $(1)/main.c $(1)/cmd_*.c)
objs     = $(patsubst %.c,$(OUT)/%.o,$(1))
libs     = $(foreach r,$(1),$(OUT)/libml-$(r).a)

# What each program is made of. mlconvert must not be able to open a socket.
DIR_mlfetch      := fetch
DIR_mlcache      := cache
DIR_mlconvert    := convert
DIR_mlverify     := verify
DIR_mlverify-run := verify-run
LIB_mlfetch      := serve fetch bucket s3 cache net base
LIB_mlcache      := bucket s3 cache net base
LIB_mlconvert    := convert cache formats base
LIB_mlverify     := verify cache formats base
LIB_mlverify-run := verify-run cache formats base
EXT_base         := -lcrypto -lcjson -lm
EXT_mlfetch      := -lcurl -lssl -lsodium -lmicrohttpd
EXT_mlcache      := -lcurl -lssl -lsodium -lzstd
EXT_mlverify     := -lsodium
# Libraries that are loaded when they are needed, and their stand-ins (late/).
LATE_mlfetch     := curl microhttpd
LATE_mlcache     := curl

# The library, and the rooms it is made of. LIB_ABI is its soname's number, and
# LIB_ADDED grows with every function that lib/mlfetch.map gains.
LIB_library := lib fetch verify cache net formats base
EXT_library := -lcurl -lssl
LIB_ABI     := 1
LIB_ADDED   := 0
LIB_REAL    := libmlfetch.so.$(LIB_ABI).$(LIB_ADDED)
LIB_NAMES   := libmlfetch.so.$(LIB_ABI) libmlfetch.so
VERSION     := $(shell sed -n 's/.*ML_VERSION "\(.*\)"/\1/p' base/version.h)

# The plugin for NVIDIA's devices is built when nvcc is there, and never linked
# into a program. WITH_CUDA=yes wants it, no leaves it out; CUDA_ARCHS says for
# which devices there is machine code; the last one's PTX is for all later ones.
WITH_CUDA  ?= auto
CUDA_HOME  ?= /usr/local/cuda
CUDA_ARCHS ?= 75 80 90
NVCC       ?= $(firstword $(wildcard $(CUDA_HOME)/bin/nvcc) \
	$(shell command -v nvcc 2>/dev/null))
ifeq ($(WITH_CUDA),no)
NVCC :=
else ifeq ($(WITH_CUDA)$(NVCC),yes)
$(error WITH_CUDA=yes, but there is no nvcc in CUDA_HOME=$(CUDA_HOME) or PATH)
endif
CXX_OF_CC  := $(if $(findstring clang,$(CC)),clang++,g++)
PLUGIN     := ml-backend-cuda.so
PLUGIN_OUT := $(if $(NVCC),$(OUT)/$(PLUGIN))

.PHONY: all
all: $(PROGRAMS:%=$(OUT)/%) $(PLUGIN_OUT) library ## build the programs and the library

.PHONY: library
library: $(addprefix $(OUT)/,$(LIB_REAL) $(LIB_NAMES) libmlfetch.a)

define program_rule
$(OUT)/$(1): $$(call objs,$$(call main_c,$(DIR_$(1)))) \
		$(LATE_$(1):%=$(OUT)/late/%.o) $$(call libs,$(LIB_$(1))) \
		$(OUT)/flags
	$$(call say,link,$$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) \
		$(filter-out $(LATE_$(1):%=-l%),$(EXT_$(1))) $(EXT_base)
endef

define room_rule
$(OUT)/libml-$(1).a: $$(call objs,$$(call room_c,$(1)))
	$$(call say,ar,$$@)
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef

# Each program alone in one file, for images without a system. Of its objects
# one is compiled anew; what Debian has no static library of is built first.
STATIC := $(OUT)/static
ALONE  := $(OUT)/alone

$(ALONE)/libcurl.a: static/libs.sh
	$(call say,libs,$(@D))
	$(Q)CC='$(CC)' sh static/libs.sh $(@D)

$(ALONE)/alone.o: base/alone.c $(OUT)/flags
	$(call say,cc,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -DML_ALONE -c -o $@ $<

# The linker warns of shared libraries for getaddrinfo, which alone.c rules out:
# what it says is shown where it fails.
define static_rule
$(STATIC)/$(1): $$(call objs,$$(call main_c,$(DIR_$(1)))) \
		$$(call libs,$(LIB_$(1))) $(OUT)/flags $(ALONE)/alone.o \
		$(ALONE)/libcurl.a
	$$(call say,link,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -static-pie -s -o $$@ $$(filter %.o,$$^) \
		$$(call libs,$(LIB_$(1))) -L$(ALONE) $(EXT_$(1)) $(EXT_base) \
		2> $(ALONE)/$(1).log || { cat $(ALONE)/$(1).log >&2; exit 1; }
endef

.PHONY: static
static: $(PROGRAMS:%=$(STATIC)/%) ## the programs, each alone in one static file

ifeq (,$(V))
Q   := @
say  = @printf '  %-5s %s\n' $(1) $(2)
endif

$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))
$(foreach p,$(PROGRAMS),$(eval $(call program_rule,$(p))))
$(foreach p,$(PROGRAMS),$(eval $(call static_rule,$(p))))

# Only what lib/mlfetch.map names is to be seen from outside. A sanitizer's
# runtime comes with the program.
$(OUT)/$(LIB_REAL): $(call libs,$(LIB_library)) lib/mlfetch.map $(OUT)/flags
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -shared -o $@ -Wl,--whole-archive \
		$(OUT)/libml-lib.a -Wl,--no-whole-archive $(filter-out \
		$(OUT)/libml-lib.a,$(filter %.a,$^)) -Wl,--as-needed \
		$(EXT_library) $(EXT_base) -Wl,-soname,libmlfetch.so.$(LIB_ABI) \
		-Wl,--version-script,lib/mlfetch.map -Wl,-z,nodelete \
		$(if $(SAN),,-Wl,-z,defs)

$(addprefix $(OUT)/,$(LIB_NAMES)): $(OUT)/$(LIB_REAL)
	$(Q)ln -sf $(LIB_REAL) $@

# One object, in which the names of the rooms are no longer names.
$(OUT)/libmlfetch.a: $(call libs,$(LIB_library)) $(OUT)/flags
	$(call say,ar,$@)
	$(Q)ld -r -o $(OUT)/libmlfetch.o --whole-archive $(OUT)/libml-lib.a \
		--no-whole-archive $(filter-out $(OUT)/libml-lib.a,$(filter %.a,$^))
	$(Q)objcopy --localize-hidden $(OUT)/libmlfetch.o
	$(Q)rm -f $@ && ar rcs $@ $(OUT)/libmlfetch.o && rm $(OUT)/libmlfetch.o

# What the linker would have written down of the library.
soname = $(shell readelf -d $$($(CC) -print-file-name=lib$(1).so) | \
	sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
$(OUT)/late/%.o: ROOM_CFLAGS = -DLATE_SONAME='"$(call soname,$(notdir $*))"'

# Sizes and offsets come from files here: no silent narrowing.
$(OUT)/base/%.o: ROOM_CFLAGS = -Wconversion
$(OUT)/formats/%.o: ROOM_CFLAGS = -Wconversion
$(foreach r,$(LIB_library),$(eval $(OUT)/$(r)/%.o: ROOM_CFLAGS += -fPIC))

$(OUT)/%.o: %.c $(OUT)/flags
	$(call say,cc,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# ---- the plugin ----

CUDA_C    := $(wildcard cuda/*.c)
CUDA_CU   := $(wildcard cuda/*.cu)
CUDA_BASE := base/err.c base/human.c base/pool.c base/scope.c base/utf8.c
CUDA_GEN  := $(foreach a,$(CUDA_ARCHS),-gencode \
	arch=compute_$(a),code=sm_$(a)) -gencode \
	arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
comma := ,
NVCC_FLAGS := -std=c++17 -O2 -I. $(CUDA_GEN) --threads 0 \
	$(if $(WERROR),-Werror all-warnings) -Xcompiler \
	-fPIC,-fvisibility=hidden,-Wall,-Wextra$(if $(WERROR),$(comma)-Werror)

$(OUT)/cuda/%.o: %.cu $(OUT)/flags
	$(call say,nvcc,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(NVCC) $(NVCC_FLAGS) -MD -MF $(@:.o=.d) -c -o $@ $<

$(OUT)/cuda/%.o: %.c $(OUT)/flags
	$(call say,cc,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -isystem $(CUDA_INCLUDE) -MMD -MP -c -o $@ $<

CUDA_INCLUDE := $(CUDA_HOME)/include
CUDA_OBJS := $(patsubst %,$(OUT)/cuda/%.o,$(basename $(CUDA_C) $(CUDA_CU) \
	$(CUDA_BASE)))
$(OUT)/$(PLUGIN): $(CUDA_OBJS)
	$(call say,link,$@)
	$(Q)$(CXX_OF_CC) $(ALL_LDFLAGS) -static-libstdc++ -static-libgcc -shared \
		-o $@ $^ -L$(CUDA_HOME)/lib64 \
		-Wl,-rpath,$(CUDA_HOME)/lib64 -Wl,--exclude-libs,ALL \
		$(if $(SAN),,-Wl,-z,defs) \
		-lcudart_static -lm

# The same sources over an emulator of tests/cuda: every kernel runs on the
# processor. Two builds: one multiplies all by itself, the other all it can by
# the library.
EMU_DIR  := tests/cuda/emulator

EMU_TUNE := -DTUNE_THREADS=64 -DTUNE_ROWS_THREADS=64 -DTUNE_HEAD_WARPS=2 \
	-DTUNE_SPLIT_KEYS=4 -DTUNE_RING_BYTES=8192 -DTUNE_RANGE_BLOCKS=2 -DTUNE_WIDE_ROWS=24 \
	-DTUNE_CUFILE_BYTES=16777216 -DTUNE_EASE=8388608
EMU_WARN := -Wall -Wextra -Wno-unknown-pragmas $(if $(WERROR),-Werror)
# clang looks at calls of C++ by a library that programs in C do not have
EMU_SAN  := $(if $(SAN),$(if $(findstring clang,$(CC)),\
	-fno-sanitize=function -fno-sanitize=vptr))
EMU_HOW  = -fPIC -pthread -I$(EMU_DIR) -I. $(OPTIM) $(EMU_SAN) $(EMU_TUNE)

define emulated_rule
$(OUT)/$(1)/%.o: cuda/%.cu $(OUT)/flags
	$$(call say,emu,$$<)
	$(Q)mkdir -p $$(@D)
	$(Q)$(CXX_OF_CC) -std=c++17 $(EMU_HOW) $(2) -fvisibility=hidden \
		$(EMU_WARN) -MMD -MP -x c++ -c -o $$@ $$<

$(OUT)/$(1)/%.o: cuda/%.c $(OUT)/flags
	$$(call say,emu,$$<)
	$(Q)mkdir -p $$(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(EMU_HOW) $(2) -MMD -MP -c -o $$@ $$<

$(OUT)/$(1)/base/%.o: base/%.c $(OUT)/flags
	$(Q)mkdir -p $$(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fPIC -MMD -MP -c -o $$@ $$<

$(OUT)/$(1)/%.so.13: $(OUT)/emulator/%.so.13
	$(Q)mkdir -p $$(@D)
	$(Q)ln -f $$< $$@

$(OUT)/$(1)/%.so.0: $(OUT)/emulator/%.so.0
	$(Q)mkdir -p $$(@D)
	$(Q)ln -f $$< $$@

$(OUT)/$(1)/lib%.so: $(OUT)/emulator/lib%.so
	$(Q)mkdir -p $$(@D)
	$(Q)ln -f $$< $$@

$(OUT)/$(1)/$(PLUGIN): $$(patsubst %,$(OUT)/$(1)/%.o,$$(patsubst cuda/%,%,\
		$$(basename $(CUDA_C) $(CUDA_CU) $(CUDA_BASE)))) \
		$(OUT)/$(1)/libemulator.so
	$$(call say,link,$$@)
	$(Q)$(CXX_OF_CC) $(ALL_LDFLAGS) -Wl,-rpath,'$$$$ORIGIN' -shared -o $$@ $$^

$(OUT)/$(1)/mlverify-run: $(OUT)/mlverify-run
	$(Q)mkdir -p $$(@D)
	$(Q)ln -f $$< $$@

emulated: $(OUT)/$(1)/$(PLUGIN) $(OUT)/$(1)/libcublas.so.13 \
		$(OUT)/$(1)/libcufile.so.0 $(OUT)/$(1)/mlverify-run
endef

.PHONY: emulated
emulated: ## the CUDA backend over an emulator, for tests/cuda
$(eval $(call emulated_rule,emulated-own,-DTUNE_BLOCK=4 \
	-DTUNE_CUFILE_DRIVER='"/none"'))
$(eval $(call emulated_rule,emulated-blas,-DTUNE_BLOCK=8 -DTUNE_GEMM_FROM=2 \
	-DTUNE_USE_CACHE=0 -DTUNE_CUFILE_DRIVER='"/proc"'))

$(OUT)/emulator/%.o: $(EMU_DIR)/%.cc $(OUT)/flags
	$(call say,emu,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX_OF_CC) -std=c++17 $(EMU_HOW) $(EMU_WARN) -MMD -MP -c -o $@ $<

$(OUT)/emulator/libemulator.so: $(patsubst %,$(OUT)/emulator/%.o,fibers runtime)
	$(Q)$(CXX_OF_CC) $(ALL_LDFLAGS) -shared -o $@ $^

$(OUT)/emulator/libcublas.so.13: $(OUT)/emulator/products.o \
		$(OUT)/emulator/libemulator.so
$(OUT)/emulator/libcufile.so.0: $(OUT)/emulator/storage.o \
		$(OUT)/emulator/libemulator.so
$(OUT)/emulator/libcublas.so.13 $(OUT)/emulator/libcufile.so.0:
	$(Q)$(CXX_OF_CC) $(ALL_LDFLAGS) -Wl,-rpath,'$$ORIGIN' -shared -o $@ $^

# A change of compiler or flags rebuilds everything of this configuration, but
# with AS_BUILT=1, which is for `make install` of what is there.
.PHONY: FORCE
FLAGS_NOW := $(CC) $(OPTIM) $(WARN) $(CFLAGS) $(LDFLAGS) PIC: $(LIB_library)
ifneq (,$(AS_BUILT))
FLAGS_NOW := $(file <$(OUT)/flags)
endif
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@

# ---- tests ----

UNIT  := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/unit/t_*.c \
	tests/numeric/t_*.c))
UNIT_LIBS := lib serve fetch convert verify verify-run bucket s3 cache net \
	formats base

$(OUT)/tests/%: $(OUT)/tests/%.o $(call libs,$(UNIT_LIBS)) $(OUT)/flags
	$(call say,link,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) \
		$(EXT_mlfetch) $(EXT_mlcache) $(EXT_mlverify) $(EXT_base)
.SECONDARY:

.PHONY: unit check test lint fuzz demo deps
unit: $(UNIT) $(OUT)/tests/e2e/s3ask $(OUT)/tests/interop/tokenize ## build the compiled tests

check: all unit ## the compiled tests alone; about a minute
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/run.py $(UNIT)

test: ## install what is missing, then every test; ends in a count
	$(Q)sh tests/deps.sh test
	$(Q)$(PYTHON) tests/all.py

lint: all ## floors, includes, sizes, names, banned calls
	$(Q)$(PYTHON) tests/lint/lint.py

.PHONY: casts
casts: $(OUT)/tests/exhaustive/t_cast_all ## all 2^32 float32 values, fast casts against plain
	$(Q)$<

.PHONY: faults
faults: all ## every fault at every place, once, often, for ever; minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/fault_matrix.py --long

.PHONY: kills powercuts huge
kills: all ## 200 kills of downloads, one in 1 GB, one at each call; minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/kill.py --long
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/steps.py --long
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/adopt.py --long

powercuts: all ## 150 power cuts each on ext4 and xfs (root); minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/cuts.py --long
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/power.py --long

.PHONY: inject
inject: all ## every system call of every command that changes what is held fails, or is the last
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/inject.py --long

.PHONY: joiners
joiners: all ## a mirror in front of a Hub, with files of 1 GB
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/serve_through.py --long

huge: all ## 100 GB through mlfetch in 64 MB of memory (root); minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/huge.py --long

.PHONY: debian-check
debian-check: ## the Debian packages, built, unpacked and used; minutes
	$(Q)sh tests/deps.sh debian
	$(Q)$(PYTHON) tests/run.py tests/packaging/debian.py

.PHONY: flips
flips: all ## 1,000 flipped bits found by mlcache verify, and repaired
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/verify.py --long

.PHONY: collector
collector: all ## ten minutes of gc against 16 writers and readers; every step of rm and gc killed
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/collector.py --long
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/gc.py --long

.PHONY: buckets
buckets: all ## volumes in object storage on two real servers, more kills and writers; minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/s3_volume.py --long
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/s3_volume_halfway.py --long

.PHONY: archives
archives: all ## imports killed often, and at each system call; minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/archive.py --long

.PHONY: big
big: all ## a Pythia-12b of noise, 24 GB of disk, run in little memory; minutes
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/e2e/big.py --long

.PHONY: fresh
fresh: ## a new Debian 12, and in it make demo, static, the package, make test (root)
	$(Q)sh tests/fresh.sh

.PHONY: clients
clients: all ## the official client and mlfetch under the same faults: a table
	$(Q)BUILD_DIR=$(OUT) $(PYTHON) tests/interop/clients_table.py

.PHONY: tokenizers
TEXTS ?= 100000
tokenizers: $(OUT)/tests/interop/tokenize ## 100,000 texts for each kind of tokenizer against its library; TEXTS
	$(Q)BUILD_DIR=$(OUT) TOKENIZER_TEXTS=$(TEXTS) $(PYTHON) \
		tests/interop/run.py tokenizers sentencepiece tiktoken

.PHONY: tsan
tsan: ## the threads of a download under the thread sanitizer
	$(Q)$(MAKE) --no-print-directory BUILD=tsan CC=clang SAN=thread \
		build/tsan/mlfetch build/tsan/tests/unit/t_intake \
		build/tsan/tests/unit/t_intake_rows
	$(Q)BUILD_DIR=build/tsan $(PYTHON) tests/run.py \
		build/tsan/tests/unit/t_intake \
		build/tsan/tests/unit/t_intake_rows tests/e2e/engine.py

FUZZ_SECONDS ?= 600
FUZZ_ENGINE  ?= both
FUZZ_TARGETS ?=
fuzz: ## every fuzzer, ten minutes under each engine; FUZZ_SECONDS, FUZZ_TARGETS
	$(Q)$(PYTHON) tests/fuzz/run.py $(FUZZ_SECONDS) --engine $(FUZZ_ENGINE) \
		$(FUZZ_TARGETS:%=--target %)

demo: deps ## the whole path on the model in tests/model
	$(Q)$(MAKE) --no-print-directory all
	$(Q)sh tests/demo.sh $(OUT)

deps: ## install the Debian packages that building and the demo need
	$(Q)sh tests/deps.sh

# ---- install ----

BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
UNITDIR    ?= $(PREFIX)/lib/systemd/system
BASHDIR    ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR     ?= $(PREFIX)/share/zsh/site-functions
FISHDIR    ?= $(PREFIX)/share/fish/vendor_completions.d

# mode:what:where. The one list for install and uninstall.
INSTALLED = $(foreach p,$(PROGRAMS),755:$(OUT)/$(p):$(BINDIR)/$(p) \
	644:$(OUT)/man/$(p).1:$(MANDIR)/man1/$(p).1 \
	644:$(OUT)/completion/$(p).bash:$(BASHDIR)/$(p) \
	644:$(OUT)/completion/$(p).zsh:$(ZSHDIR)/_$(p) \
	644:$(OUT)/completion/$(p).fish:$(FISHDIR)/$(p).fish) \
	$(foreach f,$(wildcard docs/man/*.5),644:$(f):$(MANDIR)/man5/$(notdir $(f))) \
	644:$(OUT)/$(LIB_REAL):$(LIBDIR)/$(LIB_REAL) \
	$(foreach n,$(LIB_NAMES),link:$(LIB_REAL):$(LIBDIR)/$(n)) \
	644:$(OUT)/libmlfetch.a:$(LIBDIR)/libmlfetch.a \
	644:lib/mlfetch.h:$(INCLUDEDIR)/mlfetch.h \
	644:$(OUT)/mlfetch.pc:$(LIBDIR)/pkgconfig/mlfetch.pc \
	644:$(OUT)/mlfetch-serve.service:$(UNITDIR)/mlfetch-serve.service \
	$(foreach p,$(PLUGIN_OUT),755:$(p):$(PREFIX)/lib/mlverify-run/$(PLUGIN))

SHELLS := bash zsh fish
PAGES  := $(PROGRAMS:%=$(OUT)/man/%.1) $(foreach s,$(SHELLS),\
	$(PROGRAMS:%=$(OUT)/completion/%.$(s)))

$(OUT)/man/%.1: $(OUT)/%
	$(Q)mkdir -p $(@D) && $< --print-man > $@.tmp && mv $@.tmp $@

define completion_rule
$(OUT)/completion/%.$(1): $(OUT)/%
	$(Q)mkdir -p $$(@D) && $$< --print-completion $(1) > $$@.tmp && \
		mv $$@.tmp $$@
endef
$(foreach s,$(SHELLS),$(eval $(call completion_rule,$(s))))

# Made anew each time: the folders are those of this call.
$(OUT)/%.service: docs/systemd/%.service.in FORCE
	$(Q)mkdir -p $(@D) && sed 's|@BINDIR@|$(BINDIR)|' $< > $@

$(OUT)/mlfetch.pc: lib/mlfetch.pc.in FORCE
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@LIBS@|$(EXT_library) $(EXT_base)|' $< > $@

.PHONY: man install uninstall clean help
man: $(PAGES) ## write manual pages and completions to build/*/man, completion

install: all man $(OUT)/mlfetch.pc $(OUT)/mlfetch-serve.service ## put all that is built under DESTDIR/PREFIX
	$(Q)set -e; for f in $(INSTALLED); do \
		mode=$${f%%:*}; to="$(DESTDIR)$${f##*:}"; f=$${f#*:}; \
		if [ "$$mode" = link ]; then ln -sf "$${f%%:*}" "$$to"; \
		else install -D -m "$$mode" "$${f%%:*}" "$$to"; fi; done

uninstall: ## remove what install put there
	$(Q)for f in $(INSTALLED); do rm -f "$(DESTDIR)$${f##*:}"; done
	$(Q)rmdir "$(DESTDIR)$(PREFIX)/lib/mlverify-run" 2>/dev/null || true

clean: ## remove build/
	$(Q)rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

-include $(wildcard $(OUT)/cuda/cuda/*.d $(OUT)/cuda/base/*.d \
	$(OUT)/emulat*/*.d)
-include $(patsubst %.c,$(OUT)/%.d,$(foreach r,$(ROOMS),$(wildcard $(r)/*.c)) \
	$(wildcard tests/unit/*.c tests/numeric/*.c tests/exhaustive/*.c \
	tests/e2e/*.c))
