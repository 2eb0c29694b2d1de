# A thin face over CMake and CTest.
BUILD ?= build
JOBS  ?= $(shell nproc)
# Looked for when a recipe runs, since `deps` may have installed it by then; a folder keeps its own.
GENERATOR = $(if $(wildcard $(1)/CMakeCache.txt),,$(shell command -v ninja >/dev/null 2>&1 && echo -GNinja))
CCACHE = $(shell command -v ccache >/dev/null 2>&1 && echo -DCMAKE_C_COMPILER_LAUNCHER=ccache)
CONFIGURE = cmake $(GENERATOR) $(CCACHE) -S . -B $(1)

.PHONY: all deps run build test asan tsan fuzz bench format format-check floors docs docs-check deb install clean

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
	@ctest --test-dir $(BUILD)-asan --output-on-failure -j 2 -LE slow

tsan: deps
	@tools/deps.sh --clang
	@CC=clang $(call CONFIGURE,$(BUILD)-tsan) -DPC_SANITIZE=thread -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 >/dev/null
	@cmake --build $(BUILD)-tsan -j $(JOBS)
	@ctest --test-dir $(BUILD)-tsan --output-on-failure -j 2 -L threads

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
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
