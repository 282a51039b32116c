package config

import (
	"slices"

	"github.com/example-org/authgate/target"
)

// auditWarnings is about records that will be missing when they are looked for.
func (c *Config) auditWarnings() (warnings []string) {
	if c.Audit.Output == AuditNone && c.Audit.OnFull == OnFullBlock {
		warnings = append(warnings, "audit.onFull is block, but audit.output is none: no request is recorded; name an output, or leave onFull out")
	}
	if slices.Contains(c.Audit.Exclude, "/"+target.AnyRest) {
		warnings = append(warnings, `audit.exclude has "/**": no allowed request is recorded; name the paths that pollers ask for`)
	}
	return warnings
}
