package session

import (
	"errors"

	"github.com/example-org/authgate/identity"
)

// rotatedGrant finds the grant to keep in the error of a renewal that spent the
// old refresh token all the same.
func rotatedGrant(err error) (identity.Grant, bool) {
	var unverified *identity.UnverifiedError
	if errors.As(err, &unverified) {
		return unverified.Grant, true
	}
	return identity.Grant{}, false
}
