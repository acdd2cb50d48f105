//go:build tools

// Package tools pins the programs the native provider builds.
package tools

import (
	_ "github.com/coredns/coredns"
)
