# The project's tasks. `make test` runs all tests; .ci/run is what CI calls.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TAGS    := urfave_cli_no_docs
LDFLAGS := -s -w -X github.com/ossec-ar/ossec-ar/internal/app.Version=$(VERSION)
GO_TOOL := go tool -modfile=packaging/tools.mod
FUZZTIME ?= 60s

# Go and tools for administrators are often here.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

.PHONY: build test kernel-test nightly race lint vuln fuzz bench bench-stats demo picture packages package-test deps clean

# Static programs in build/.
build:
	mkdir -p build
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags $(TAGS) -ldflags '$(LDFLAGS)' -o build/ ./cmd/...

# All tests but those of the packages; .ci/test says which are skipped, and why.
test: deps
	.ci/test -count=1 -timeout 60m $$(go list ./... | grep -v /e2e/packages$$)

kernel-test: deps
	AR_KERNEL_TESTS=require .ci/test -count=1 -timeout 60m ./e2e/kernel ./e2e/mail

# What takes long, for CI on a schedule of its own.
nightly: package-test bench
	$(MAKE) fuzz FUZZTIME=5m

# The race detector needs cgo and a C compiler.
race: deps
	GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 go test -race -timeout 30m $$(go list ./... | grep -v /e2e)

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	go vet ./...
	$(GO_TOOL) staticcheck ./...
	go mod tidy -diff
	shellcheck install.sh .ci/run .ci/deps .ci/test packaging/build packaging/deps packaging/p[ro]*

# Known vulnerabilities in what the programs call, where the database (vuln.go.dev) can be reached.
vuln:
	@said=$$($(GO_TOOL) govulncheck -tags $(TAGS) ./... 2>&1) && echo "$$said" || { \
		case $$said in *"fetching vulnerabilities"*) echo "vuln: skipped, vuln.go.dev cannot be reached" ;; \
		*) echo "$$said"; exit 1 ;; esac; }

# Every fuzz target, FUZZTIME each: a time, or a number of runs as 5000x. Go sometimes
# reports the end of the time as a failure; then it has written no failing input.
fuzz:
	@set -e; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep ^Fuzz || true); do \
			echo "fuzzing $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package >"$$log" 2>&1 || { \
				if grep -q 'context deadline exceeded' "$$log" && ! grep -q 'Failing input' "$$log"; then continue; fi; \
				cat "$$log"; exit 1; \
			}; \
		done; \
	done

# Whole programs timed beside the bare commands, many at once, memory, packets and whole lists,
# in one run, and then the statistics. BENCH holds flags, as BENCH='-only ipset -runs 20'; with
# flags the statistics are left out.
bench: build
	go run ./bench -bin build $(BENCH)
	$(if $(BENCH),,$(MAKE) bench-stats)

# response-stats on a generated log of 300 MB, beside wc and a pipeline of grep and sort.
bench-stats: build
	go run ./internal/stats/bench -bin build/response-stats

deps:
	@.ci/deps

clean:
	rm -rf build dist dist-packages

# The suite at work in throw-away namespaces, narrated.
demo: build
	go run ./demo

# The picture in README.md.
picture:
	$(MAKE) build VERSION=0.1.0
	go run ./demo docs/picture.svg

# .deb, .rpm and tar.gz for both architectures, reproducible. VERSION, ARCHS and FORMATS choose.
PACKAGES := dist-packages
packages:
	@VERSION='$(VERSION)' TAGS='$(TAGS)' LDFLAGS='$(LDFLAGS)' packaging/build $(PACKAGES)

# The .deb installed, used, upgraded, removed and purged in a Debian of its own.
package-test: deps
	@packaging/deps
	AR_PACKAGE_TESTS=$${AR_PACKAGE_TESTS:-yes} go test -v -count=1 -timeout 60m ./e2e/packages
