//go:build tools

// Package tools pins the programs the native provider builds.
package tools

import (
	_ "sigs.k8s.io/kind"
)
