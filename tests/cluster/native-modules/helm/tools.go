//go:build tools

// Package tools pins the programs the native provider builds.
package tools

import (
	_ "helm.sh/helm/v4/cmd/helm"
)
