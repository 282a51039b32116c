package proxy

import (
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/target"
)

// IsEndpoint reports whether a path is one of authgate's own endpoints, which have no
// upstream and no policy.
func IsEndpoint(pathPrefix string, path target.Path) bool {
	return respond.Endpoints{Prefix: pathPrefix}.Has(path)
}
