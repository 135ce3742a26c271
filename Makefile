# The suite's tasks. `make test` is what the README and CI call.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TAGS    := urfave_cli_no_docs
LDFLAGS := -s -w -X github.com/ossec-ar/ossec-ar/internal/version.Version=$(VERSION)
PROGRAMS := $(notdir $(wildcard cmd/*))

export CGO_ENABLED = 0

.PHONY: build test kernel-test lint fuzz bench deps clean

build:
	mkdir -p build
	go build -trimpath -buildvcs=false -tags $(TAGS) -ldflags '$(LDFLAGS)' -o build/ ./cmd/...

bench: build
	go run ./bench -bin build

clean:
	rm -rf build dist
