package doctor

import (
	"fmt"
	"net/url"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/text"
)

// argoCDDexError is a failure that looks like that of Argo CD's own Dex.
type argoCDDexError struct{ error }

// withResponse adds to err the beginning of what was answered instead of a discovery
// document: it shows which program answered.
func withResponse(address string, status int, body []byte, err error) error {
	if text := text.RedactBody(body); text != "" {
		err = fmt.Errorf("%w, beginning with: %s", err, text)
	}
	if at, bad := url.Parse(address); bad == nil && identity.LooksLikeArgoCDDex(at, status, string(body)) {
		return &argoCDDexError{err}
	}
	return err
}
