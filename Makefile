# A thin face over CMake and CTest.
BUILD ?= build
JOBS  ?= $(shell nproc)
# Looked for when a recipe runs, since `deps` may have installed it by then; a folder keeps its own.
GENERATOR = $(if $(wildcard $(1)/CMakeCache.txt),,$(shell command -v ninja >/dev/null 2>&1 && echo -GNinja))
CCACHE = $(shell command -v ccache >/dev/null 2>&1 && echo -DCMAKE_C_COMPILER_LAUNCHER=ccache)
CONFIGURE = cmake $(GENERATOR) $(CCACHE) -S . -B $(1)

.PHONY: all deps run build test asan tsan coverage analyse alloc-walks fuzz bench format format-check floors docs docs-check deb install clean

all: build

deps:
	@tools/deps.sh

build: deps
	@$(call CONFIGURE,$(BUILD)) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

run: build
	@tools/run.sh $(BUILD)/portcullis

test: build
	@ctest --test-dir $(BUILD) --output-on-failure -j 2

asan: deps
	@$(call CONFIGURE,$(BUILD)-asan) -DPC_SANITIZE=address -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 >/dev/null
	@cmake --build $(BUILD)-asan -j $(JOBS)
	@rm -rf $(BUILD)-asan/alloc-sites && mkdir $(BUILD)-asan/alloc-sites
	@ctest --test-dir $(BUILD)-asan --output-on-failure -j 2 -LE slow

# Reads what the unit tests of the last `make asan` wrote down.
alloc-walks:
	@tools/alloc_walks.py $(BUILD)-asan

tsan: deps
	@tools/deps.sh --clang
	@CC=clang $(call CONFIGURE,$(BUILD)-tsan) -DPC_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 >/dev/null
	@cmake --build $(BUILD)-tsan -j $(JOBS) --target threads
	@ctest --test-dir $(BUILD)-tsan --output-on-failure -j 2 -L threads

# Without the sandbox, and writable for the workers' user, so that they can write down what they ran.
coverage: deps
	@$(call CONFIGURE,$(BUILD)-coverage) -DPC_COVERAGE=ON -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 >/dev/null
	@cmake --build $(BUILD)-coverage -j $(JOBS)
	@find $(BUILD)-coverage -name '*.gcda' -delete
	@chmod -R a+rwX $(BUILD)-coverage
	@umask 0; SANDBOX=off ctest --test-dir $(BUILD)-coverage -j 2 || echo "tests failed: counted all the same"
	@tools/coverage.py $(BUILD)-coverage

# BASE=commit reads only what changed since.
analyse: build
	@tools/deps.sh --analyse
	@tools/analyse.sh $(BUILD) $(BASE)

fuzz: deps
	@tools/deps.sh --clang
	@CC=clang $(call CONFIGURE,$(BUILD)-fuzz) -DPC_FUZZ=ON -DPC_SANITIZE=address -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 >/dev/null
	@cmake --build $(BUILD)-fuzz -j $(JOBS) --target fuzz_targets
	@tools/fuzz.sh $(BUILD)-fuzz

bench: build
	@bench/run.sh $(BUILD)/portcullis

SOURCES = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find src tests -name '*.[ch]')

format:
	@clang-format -i $(SOURCES)

format-check:
	@clang-format --dry-run -Werror $(SOURCES)

floors:
	@python3 tools/floors.py

docs: build
	@tools/docs.sh $(BUILD)/portcullis

docs-check: build
	@tools/docs.sh $(BUILD)/portcullis --check

deb: build
	@tools/deb.sh $(BUILD)

install: build
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-coverage $(BUILD)-fuzz
