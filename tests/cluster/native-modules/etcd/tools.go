//go:build tools

// Package tools pins the programs the native provider builds.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)
