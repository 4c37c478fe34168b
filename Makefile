# SPDX-License-Identifier: Apache-2.0
#
# mod_userprofile. `make help` lists the targets and what can be set.
#
# Everything that is built goes to $(BUILD), but for mod_userprofile.so itself. The usual
# variables (CC, CFLAGS, CPPFLAGS, LDFLAGS, APXS, PKG_CONFIG, DESTDIR, BINDIR, MANDIR) can be set;
# their defaults are what dpkg-buildflags says on Debian 12, and apxs of httpd's own programs.

APXS       ?= apxs
PKG_CONFIG ?= pkg-config
CFLAGS     ?= -g -O2 -fstack-protector-strong -Wformat -Werror=format-security
CPPFLAGS   ?= -Wdate-time -D_FORTIFY_SOURCE=2
LDFLAGS    ?= -Wl,-z,relro -Wl,-z,now

BUILD  := build
MODULE := mod_userprofile.so

# What the tests are asked for: one of Debian's MPMs, and some of them only.
MPM := event
T   :=

# --- What has to be there -------------------------------------------------------------------------

# tool:Debian package, and pkg-config's name:Debian package
TOOLS := $(firstword $(CC)):gcc $(PKG_CONFIG):pkg-config $(APXS):apache2-dev
LIBRARIES := jansson:libjansson-dev libjwt:libjwt-dev hiredis:libhiredis-dev \
             libcurl:libcurl4-openssl-dev libutf8proc:libutf8proc-dev libcrypto:libssl-dev \
             libpq:libpq-dev sqlite3:libsqlite3-dev
# httpd itself brings APR into the module; the unit tests have to link it.
APR := apr-1:libapr1-dev apr-util-1:libaprutil1-dev

package_of = $(lastword $(subst :, ,$(1)))
name_of    = $(firstword $(subst :, ,$(1)))

BUILD_PACKAGES := make libc6-dev $(foreach x,$(TOOLS) $(APR) $(LIBRARIES),$(call package_of,$(x)))
RUN_PACKAGES   := apache2-bin libaprutil1-dbd-sqlite3 sqlite3 openssl curl util-linux perl
TEST_PACKAGES  := libaprutil1-dbd-pgsql postgresql redis-server libapache2-mod-perl2 libwww-perl \
                  libdbd-pg-perl libdbd-sqlite3-perl libredis-perl libjson-validator-perl valgrind \
                  python3-multipart libmicrohttpd-dev mandoc
LINT_PACKAGES  := clang-tidy cppcheck
GCOV_PACKAGES  := gcovr
DEBUG_PACKAGES := valgrind
DEB_PACKAGES   := debhelper dh-apache2 dpkg-dev lintian
CHROOT_PACKAGES := debootstrap iproute2 util-linux
BENCH_PACKAGES := wrk postgresql-15
PLOT_PACKAGES  := gnuplot-nox
FUZZ_PACKAGES  := clang-14 libclang-rt-14-dev llvm-14

# --- What is built from what ----------------------------------------------------------------------

TOOL_SOURCES := $(wildcard src/tools/*.c)
SOURCES := mod_userprofile.c $(filter-out $(TOOL_SOURCES),$(wildcard src/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o)

# The program beside the module.
TOKEN_TOOL   := $(BUILD)/bin/userprofile-token
TOOL_OBJECTS := $(TOOL_SOURCES:%.c=$(BUILD)/obj/%.o)

# The unit tests see all that stands without httpd, each from the one archive.
ARCHIVE      := $(BUILD)/libuserprofile.a
ARCHIVED     := $(filter $(BUILD)/obj/src/core/% $(BUILD)/obj/src/service/% \
                         $(BUILD)/obj/src/adapters/% $(BUILD)/obj/src/httpd/network.o \
                         $(BUILD)/obj/src/httpd/spool.o,$(OBJECTS))
UNIT_SOURCES := $(wildcard t/unit/*.c)
UNIT_OBJECTS := $(UNIT_SOURCES:%.c=$(BUILD)/obj/%.o)
UNIT_TESTS   := $(UNIT_SOURCES:t/unit/%.c=$(BUILD)/unit/%)

# The fuzz targets, a file each beside what they share. Some need a few files of httpd's side too, and
# bring what those call of httpd.
FUZZ_SOURCES := $(wildcard t/fuzz/*.c)
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(BUILD)/obj/%.o)
FUZZ_NAMES   := $(filter-out pool replay,$(FUZZ_SOURCES:t/fuzz/%.c=%))
FUZZ_SHARED  := $(BUILD)/obj/t/fuzz/pool.o
FUZZ_REPLAYS := $(FUZZ_NAMES:%=$(BUILD)/unit/fuzz_%)
FUZZERS      := $(FUZZ_NAMES:%=$(BUILD)/fuzzer/%)

# Asked for when a recipe first needs it, so that `make help` needs no pkg-config; then remembered.
# The headers of others are -isystem: what they do is not ours to be warned of.
APR_NAMES     = $(foreach x,$(APR),$(call name_of,$(x)))
LIBRARY_NAMES = $(foreach x,$(LIBRARIES),$(call name_of,$(x)))
FOREIGN_FLAGS = $(eval FOREIGN_FLAGS := $$(patsubst -I%,-isystem%, \
    -I$$(shell $$(APXS) -q INCLUDEDIR) $$(shell $$(APXS) -q EXTRA_CPPFLAGS) \
    $$(shell $$(PKG_CONFIG) --cflags $$(APR_NAMES) $$(LIBRARY_NAMES))))$(FOREIGN_FLAGS)
APR_LIBS      = $(eval APR_LIBS := $$(shell $$(PKG_CONFIG) --libs $$(APR_NAMES)))$(APR_LIBS)
LIBS          = $(eval LIBS := $$(shell $$(PKG_CONFIG) --libs $$(LIBRARY_NAMES)))$(LIBS)

LANGUAGE = -std=gnu11 -Wall -Wextra -Isrc $(FOREIGN_FLAGS)
COMPILE  = $(CC) $(LANGUAGE) -fPIC -fvisibility=hidden -MMD -MP $(CPPFLAGS) $(CFLAGS)

# What takes long shows that it goes on: on a terminal (make sets MAKE_TERMOUT there, for the makes
# that it calls, too) a short line for each thing that is made, and what other tools say of themselves.
# In a pipe there are only the steps of a target and what went wrong. V=1 shows the commands.
say   = $(if $(V),,@$(if $(MAKE_TERMOUT),echo "  $(1)";))
aside = $(if $(MAKE_TERMOUT)$(V),$(2),{ $(2); } >$(1) 2>&1 || { tail -n 30 $(1) >&2; exit 1; })

.DEFAULT_GOAL := all
.PHONY: all install clean help check deps deps-run deps-lint unit unit-tests test soak record bench bench-plot bench-programs run stop \
        lint sanitize coverage deps-coverage fuzz deps-fuzz valgrind deb deps-deb test-deb

all: $(MODULE) $(TOKEN_TOOL) ## build mod_userprofile.so and userprofile-token

$(MODULE): $(OBJECTS)
	$(call say,LINK $@)$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $(OBJECTS) $(LIBS)

$(TOKEN_TOOL): $(TOOL_OBJECTS) $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(APR_LIBS) $(LIBS)

$(ARCHIVE): $(ARCHIVED)
	@rm -f $@
	$(call say,AR   $@)$(AR) rcs $@ $(ARCHIVED)

$(BUILD)/obj/%.o: %.c Makefile | check
	@mkdir -p $(@D)
	$(call say,CC   $<)$(COMPILE) -c -o $@ $<

# httpd finds the module by its record, which is the one name that the library shows. A unit test
# may put a malloc of its own before the C library's.
$(BUILD)/obj/mod_userprofile.o: COMPILE += -fvisibility=default
$(UNIT_OBJECTS) $(FUZZ_OBJECTS): COMPILE += -fvisibility=default -It/unit

# What tests put before the C library in an httpd.
PRELOADS := $(patsubst t/preload/%.c,$(BUILD)/preload/%.so,$(wildcard t/preload/*.c))

unit-tests: $(UNIT_TESTS) $(PRELOADS) $(FUZZ_REPLAYS)

# What the module is measured against.
BENCH_PROGRAMS := $(BUILD)/bench/mod_bench.so $(BUILD)/bench/multipart $(BUILD)/bench/sink

bench-programs: $(BENCH_PROGRAMS)

$(BUILD)/bench/mod_bench.so: $(BUILD)/obj/t/bench/mod_bench.o
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) -shared $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(LIBS)
$(BUILD)/obj/t/bench/mod_bench.o: COMPILE += -fvisibility=default

$(BUILD)/bench/sink: $(BUILD)/obj/t/bench/sink.o
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^

$(BUILD)/bench/multipart: $(BUILD)/obj/t/bench/multipart.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(APR_LIBS) $(LIBS)

$(BUILD)/preload/%.so: t/preload/%.c Makefile | check
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) -std=gnu11 -Wall -Wextra -D_GNU_SOURCE -fPIC -fvisibility=hidden -O2 -g -shared -o $@ $<

# What reads forms beside us, where it is installed.
$(BUILD)/unit/multipart_differential: MORE_LIBS = $(shell $(PKG_CONFIG) --libs libmicrohttpd 2>/dev/null)

$(BUILD)/unit/%: $(BUILD)/obj/t/unit/%.o $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $^ $(APR_LIBS) $(LIBS) $(MORE_LIBS)

FUZZ_LINKED = $(filter %.o,$^) $(filter %.a,$^) $(APR_LIBS) $(LIBS)

# A fuzz target without libFuzzer, which replays its corpus; and with it, which only clang has.
$(FUZZ_REPLAYS): $(BUILD)/unit/fuzz_%: $(BUILD)/obj/t/fuzz/%.o $(BUILD)/obj/t/fuzz/replay.o \
        $(FUZZ_SHARED) $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--as-needed -o $@ $(FUZZ_LINKED)

$(FUZZERS): $(BUILD)/fuzzer/%: $(BUILD)/obj/t/fuzz/%.o $(FUZZ_SHARED) $(ARCHIVE)
	@mkdir -p $(@D)
	$(call say,LINK $@)$(CC) $(CFLAGS) -fsanitize=fuzzer -Wl,--as-needed -o $@ $(FUZZ_LINKED)

$(BUILD)/unit/fuzz_bearer $(BUILD)/fuzzer/bearer: $(BUILD)/obj/src/httpd/bearer.o
$(BUILD)/unit/fuzz_config $(BUILD)/fuzzer/config: $(BUILD)/obj/src/httpd/config.o \
    $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard src/httpd/directive*.c))

-include $(OBJECTS:.o=.d) $(TOOL_OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d) $(FUZZ_OBJECTS:.o=.d)

# What is missing is said once, all together, with the name of its Debian package.
check:
	@missing=; \
	for need in $(TOOLS); do \
	    command -v "$${need%:*}" >/dev/null || \
	        missing="$$missing\n  $${need%:*}, of the Debian package $${need#*:}"; \
	done; \
	if command -v $(PKG_CONFIG) >/dev/null; then \
	    for need in $(APR) $(LIBRARIES); do \
	        $(PKG_CONFIG) --exists "$${need%:*}" || \
	            missing="$$missing\n  $${need%:*}.pc, of the Debian package $${need#*:}"; \
	    done; \
	fi; \
	if [ -n "$$missing" ]; then \
	    printf "To build mod_userprofile these are missing:$$missing\n\`make deps\` installs them.\n" >&2; \
	    exit 1; \
	fi

# The program goes where htpasswd is.
BINDIR = $(shell $(APXS) -q bindir)
MANDIR = $(shell $(APXS) -q mandir)

install: $(MODULE) $(TOKEN_TOOL) ## install the module with apxs, userprofile-token and its manual (below DESTDIR, if set)
	mkdir -p "$(DESTDIR)$$($(APXS) -q LIBEXECDIR)"
	$(APXS) -S LIBEXECDIR="$(DESTDIR)$$($(APXS) -q LIBEXECDIR)" -i -n userprofile $(MODULE)
	install -D -m 0755 $(TOKEN_TOOL) "$(DESTDIR)$(BINDIR)/userprofile-token"
	install -D -m 0644 docs/userprofile-token.1 "$(DESTDIR)$(MANDIR)/man1/userprofile-token.1"

clean: ## remove what was built
	rm -rf build mod_userprofile.so

# --- Debian's packages ----------------------------------------------------------------------------

# $(call debian_install,packages): a shell command that installs those that are not installed, and
# is silent where all are. The package lists are fetched where there are none, or old ones fail.
# On another system it does nothing: whether all is there shows when it is used.
debian_install = \
    command -v dpkg-query >/dev/null || exit 0; \
    missing=$$(for package in $(1); do \
        test "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null)" = installed || \
            printf '%s ' $$package; \
    done); \
    if [ -n "$$missing" ]; then \
        as_root=; \
        if [ "$$(id -u)" != 0 ]; then \
            as_root=sudo; \
            command -v sudo >/dev/null || { \
                echo "As root, please: apt-get install $$missing" >&2; exit 1; }; \
            sudo true || { echo "As root, please: apt-get install $$missing" >&2; exit 1; }; \
        fi; \
        apt="$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 $(if $(MAKE_TERMOUT),,-qq)"; \
        get="$$apt install -y --no-install-recommends $$missing"; \
        echo "Installing Debian packages: $$missing"; \
        { for package in $$missing; do apt-cache show $$package; done >/dev/null 2>&1 || \
            $$apt update || exit 1; \
        $$get || { $$apt update && $$get; } || exit 1; } $(if $(MAKE_TERMOUT),,>/dev/null); \
    fi

deps: ## install what is needed to build, run and test (Debian's packages, by apt-get)
	@$(call debian_install,$(BUILD_PACKAGES) $(RUN_PACKAGES) $(TEST_PACKAGES))

deps-run:
	@$(call debian_install,$(BUILD_PACKAGES) $(RUN_PACKAGES))

deps-lint: deps ## likewise, and what `make lint` needs
	@$(call debian_install,$(LINT_PACKAGES))

deps-coverage: deps
	@$(call debian_install,$(GCOV_PACKAGES))

# --- Running and testing --------------------------------------------------------------------------

# These build in a make of their own, after `deps`, on all processors unless told otherwise.
JOBS  = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
BUILT = @$(MAKE) --no-print-directory $(JOBS)

unit: unit-tests ## run the unit tests only
	prove $(UNIT_TESTS)

# What t/71-openapi.t lints the OpenAPI documents with, and language tags are compared with. Where npm
# is not there, or cannot fetch it, that is skipped, and says so.
LINTER := build/openapi/node_modules/.package-lock.json

$(LINTER): t/openapi/package.json t/openapi/package-lock.json
	@command -v npm >/dev/null || exit 0; \
	$(if $(MAKE_TERMOUT),echo "Fetching what the OpenAPI documents are looked at with ..." &&) \
	mkdir -p build/openapi && cp $^ build/openapi && \
	npm ci --prefix build/openapi --ignore-scripts --no-audit --no-fund --loglevel=error \
	    --fetch-retries=1 --fetch-timeout=20000 >/dev/null || \
	    echo "npm could not install the OpenAPI linter and what language tags are compared with: these checks will be skipped." >&2

test: deps $(LINTER) ## build, then run all tests, each server they need being a private one
	$(BUILT) all unit-tests
	@t/TEST --mpm=$(MPM) --build=$(BUILD) --module=$(MODULE) $(T)

run: deps-run ## build, then start a demo on a loopback port, with no server beside httpd
	@echo "Building mod_userprofile ..."
	$(BUILT) all
	@t/demo start

stop: ## end the demo
	@t/demo stop

# How often each comparison of `make bench` is made, how many seconds each side has, and which subjects.
ROUNDS  := 5
SECONDS := 2
ONLY    :=
# What a team would run instead, where it is there.
PEERS   := $(wildcard ../shared/peers)

bench: deps ## measure it beside what httpd, Postgres and its peers do: ROUNDS=5 SECONDS=2 ONLY="get patch"
	@$(call debian_install,$(BENCH_PACKAGES))
	$(BUILT) all bench-programs
	@t/bench/build-peers "$(PEERS)" $(BUILD)/bench/peers
	@t/bench/run --build=$(BUILD) --module=$(MODULE) --rounds=$(ROUNDS) --seconds=$(SECONDS) $(ONLY)

bench-plot: deps ## draw docs/performance.svg: requests/s and latency with 1 to 256 clients, beside its peers
	@$(call debian_install,$(BENCH_PACKAGES) $(PLOT_PACKAGES))
	$(BUILT) all bench-programs
	@t/bench/build-peers "$(PEERS)" $(BUILD)/bench/peers
	@t/bench/run --build=$(BUILD) --module=$(MODULE) --rounds=$(ROUNDS) --seconds=$(SECONDS) --bring=docs/performance.svg plot

record: deps ## write down how many instructions a request takes (t/instructions.txt), for t/80-instructions.t
	$(BUILT) all unit-tests
	@UP_RECORD=1 t/TEST --build=$(BUILD) --module=$(MODULE) --bring=t/instructions.txt t/80-instructions.t

soak: deps ## let one child serve UP_SOAK requests (100,000) of all kinds: is anything left of them?
	$(BUILT) all unit-tests
	@UP_SOAK=$${UP_SOAK:-100000} t/TEST --mpm=$(MPM) --build=$(BUILD) --module=$(MODULE) t/90-soak.t

SANITIZED := build/sanitize
SANITIZER := -fsanitize=address,undefined -fno-sanitize-recover=undefined

sanitize: deps $(LINTER) ## run all tests under the address and undefined behaviour sanitizers
	$(BUILT) CC=gcc CPPFLAGS= CFLAGS='-g -O1 -fno-omit-frame-pointer $(SANITIZER)' LDFLAGS= \
	    BUILD=$(SANITIZED) MODULE=$(SANITIZED)/mod_userprofile.so all unit-tests
	@t/TEST --mpm=$(MPM) --build=$(SANITIZED) --module=$(SANITIZED)/mod_userprofile.so \
	    --preload="$$(gcc -print-file-name=libasan.so)" $(T)

# valgrind's tool: memcheck, helgrind, drd
TOOL := memcheck

valgrind: deps $(LINTER) ## run all tests with httpd under valgrind (an hour or two): TOOL=memcheck or helgrind
	@$(call debian_install,$(DEBUG_PACKAGES))
	$(BUILT) all unit-tests
	@t/TEST --mpm=$(MPM) --build=$(BUILD) --module=$(MODULE) --valgrind=$(TOOL) $(T)

# $(call floors,lines,branches,what is looked at): fails where fewer per cent of it were run.
floors = gcovr --root . --object-directory $(COVERED)/obj --exclude-unreachable-branches \
    --fail-under-line $(1) --fail-under-branch $(2) $(foreach x,$(3),--filter '$(x)')

COVERED := build/coverage
# Those that wait for a fault to pass, or look at the documents; QUICK=1 leaves them out.
SLOW := $(foreach n,14 15 16 17 18 19 27 32 33 36 37 42 44 45 46 47 48 49 7 9,t/$(n)%)

coverage: deps-coverage $(LINTER) ## run all tests, and see how much of the code they run; QUICK=1: those that do not wait
	@rm -rf $(COVERED) && mkdir -p $(COVERED)/report
	$(BUILT) CPPFLAGS= CFLAGS='-g -O0 --coverage -fprofile-update=atomic -fprofile-abs-path' LDFLAGS= \
	    BUILD=$(COVERED) MODULE=$(COVERED)/mod_userprofile.so all unit-tests
	@t/TEST --mpm=$(MPM) --build=$(COVERED) --module=$(COVERED)/mod_userprofile.so --coverage \
	    $(if $(QUICK),--lanes=2 $(COVERED)/unit/* $(filter-out $(SLOW),$(wildcard t/*.t)),$(T))
	@echo "src/core and src/service: at least 95 % of the lines, 80 % of the branches"
	@$(call floors,95,80,src/core/ src/service/) --txt $(COVERED)/report/floors.txt --print-summary
	@echo "all: at least 90 % of the lines"
	@$(call floors,90,0,src/ mod_userprofile.c) --html-details $(COVERED)/report/index.html --print-summary
	@echo "Line by line: $(COVERED)/report/index.html"

# How long each fuzz target runs, in seconds, and which.
TIME    := 60
TARGETS := $(FUZZ_NAMES)

FUZZED := build/fuzz
FUZZER := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined

deps-fuzz: deps
	@$(call debian_install,$(FUZZ_PACKAGES))

fuzz: deps-fuzz ## run the fuzz targets by libFuzzer: TIME=600, seconds for each, TARGETS='multipart patch'
	$(BUILT) CC=clang-14 CPPFLAGS= CFLAGS='-g -O1 -fno-omit-frame-pointer $(FUZZER)' LDFLAGS= \
	    BUILD=$(FUZZED) $(TARGETS:%=$(FUZZED)/fuzzer/%)
	@t/fuzz/run --build=$(FUZZED) --time=$(TIME) $(TARGETS)

# --- The Debian package ---------------------------------------------------------------------------

PACKAGE := build/deb

deps-deb: deps ## install what `make deb` and `make test-deb` need, likewise
	@$(call debian_install,$(DEB_PACKAGES) $(CHROOT_PACKAGES))

# A copy of the checkout is built, as whoever runs this, so that nothing is left in it. What make
# was told is not for the make in there.
deb: ## build the Debian package, unsigned, into build/deb
	@command -v dpkg-buildpackage >/dev/null || { \
	    echo "The Debian package dpkg-dev is missing: \`make deps-deb\` installs what is needed." >&2; exit 1; }
	@dpkg-checkbuilddeps || { echo "\`make deps-deb\` installs them." >&2; exit 1; }
	@echo "Building the Debian package ..."
	@rm -rf $(PACKAGE) && mkdir -p $(PACKAGE)/source
	@tar -c --exclude=./build --exclude=./.git --exclude=./.run --exclude=./mod_userprofile.so . | \
	    tar -x -C $(PACKAGE)/source
	@cd $(PACKAGE)/source && $(call aside,../build.log,env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKE_TERMOUT \
	    dpkg-buildpackage -us -uc -j$(shell nproc))
	@rm -rf $(PACKAGE)/source
	@if command -v lintian >/dev/null; then \
	    lintian --allow-root --pedantic --fail-on error,warning $(PACKAGE)/*.changes; \
	else \
	    echo "lintian is not installed: what it would say is not known." >&2; \
	fi
	@ls $(PACKAGE)/*.deb

test-deb: ## install, enable, ask and purge the package in a chroot, as docs/install.md says (root only)
	@[ "$$(id -u)" = 0 ] || { \
	    echo "Only root can make a chroot: make deb && sudo t/deb $(PACKAGE)" >&2; exit 1; }
	@$(MAKE) --no-print-directory deb
	@t/deb $(PACKAGE)

# cppcheck takes what a function was given the address of for what it returns (returnDanglingLifetime);
# the compiler and clang-tidy look for that too, and rightly.
CPPCHECK := cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
    --inline-suppr --suppress=missingIncludeSystem --suppress=returnDanglingLifetime

# One process a file; what it finds is printed in one piece, and its count of what it does not
# show is not.
TIDY = sh -c '$(if $(MAKE_TERMOUT),echo "  TIDY $$0";) out=$$(clang-tidy --quiet "$$0" -- "$$@" 2>&1) || \
    { echo "$$out" | grep -v "warnings* generated"; exit 1; }'

LINTED = $(SOURCES) $(TOOL_SOURCES) $(UNIT_SOURCES) $(FUZZ_SOURCES) $(wildcard t/preload/*.c t/bench/*.c)

lint: deps-lint ## look for mistakes with clang-tidy and cppcheck
	@echo "clang-tidy: $(words $(LINTED)) files"
	@printf '%s\n' $(LINTED) | \
	    xargs -P $(shell nproc) -I {} $(TIDY) {} $(LANGUAGE) -It/unit
	@echo "cppcheck"
	@$(CPPCHECK) -j $(shell nproc) -Isrc -It/unit $(LINTED)

help: ## list the targets
	@echo "make ...    does"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12
	@echo "for \`make test\`: T='t/00-smoke.t build/unit/text' runs these only;"
	@echo "  MPM=event, worker or prefork (\`make soak\` too); V=1 shows each command and check; KEEP=1 keeps the servers' folder"
