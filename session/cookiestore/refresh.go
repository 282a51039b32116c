package cookiestore

import (
	"context"
	"errors"

	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session"
)

// Refresh implements [session.Store].
func (c *Store) Refresh(ctx context.Context, s session.Session, refresh session.RefreshFunc) (session.Session, error) {
	now := c.o.Now()
	s, err := c.newestVersion(c.stateOf(&s, now), &s, now)
	if err != nil {
		return session.Session{}, err
	}
	got, err := refresh(ctx, s.TokenSet)
	var refused *identity.RefreshRefusedError
	var mismatch *identity.SubjectMismatchError
	switch {
	case err == nil:
		s.DroppedGroups = 0
		return c.storeGrant(s, got)
	case errors.As(err, &mismatch):
		c.states.endVersions(&s, allVersions, now)
		return s, err
	case errors.As(err, &refused):
		c.states.endVersions(&s, s.Cookie.Version, now)
		return s, err
	}
	var unverified *identity.UnverifiedError
	if errors.As(err, &unverified) { // the groups stay old; the previous refresh token is used up
		if s, failed := c.storeGrant(s, unverified.Tokens); failed != nil {
			return s, failed
		}
	}
	return s, err
}

// storeGrant keeps the tokens until the browser has them. What is too large for cookies
// lasts as long as it is remembered, and the next login reports it.
func (c *Store) storeGrant(s session.Session, g identity.TokenSet) (session.Session, error) {
	if g.SessionID == "" {
		g.SessionID = s.SessionID
	}
	s.TokenSet = g
	if g.RefreshToken == "" && g.Principal.Expiry.Before(s.Expires) { // as at a login
		s.Expires = g.Principal.Expiry
	}
	found, now := s.Cookie, c.o.Now()
	found.Version++
	if _, reduced, err := c.encodeToFit(found.Version, s); err == nil {
		s = reduced
	}
	s.Cookie = session.CookieState{}
	state, ok := c.states.setVersion(s, found.Version, now)
	if !ok {
		return session.Session{}, session.ErrExpired
	}
	found.Local = state
	s.Cookie = found
	return s, nil
}
