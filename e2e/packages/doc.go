// Package packages tests what `make packages` makes: that two runs give the same bytes, that
// lintian finds nothing, and that the .deb and the .rpm can be installed, used, upgraded,
// removed and purged, in a Debian of their own.
//
// `make package-test` runs it. What it needs and is missing it names and skips, or fails when
// AR_PACKAGE_TESTS=require is set.
package packages
