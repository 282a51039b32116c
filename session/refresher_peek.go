package session

import (
	"context"
	"net/http"
)

// Peek gives the session of a request however old its groups are: for what ends a
// session, and asks the issuer nothing. The error is that of [Store.Open].
func (k *Refresher) Peek(ctx context.Context, h http.Header, secure bool) (Session, error) {
	return k.o.Store.Open(ctx, h, secure)
}
