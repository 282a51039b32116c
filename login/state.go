package login

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/example-org/authgate/cache"
	"github.com/example-org/authgate/identity"
	"github.com/example-org/authgate/session/seal"
)

const (
	loginLifetime = 15 * time.Minute // a login may never return: the issuer can strand users on its own page
	stateName     = "state"
	maxState      = 16 << 10 // bytes: a path and a query of maximal length, encrypted
	maxUsedStates = 1 << 16  // states that are remembered as used: about 5 MiB

	// maxCodeExchanges bounds the codes that are exchanged at a time. Each holds connections of
	// the browser and to the issuer, for as long as the issuer takes.
	maxCodeExchanges = 32
)

// pendingLogin is a login between its two halves. It travels encrypted as the state, so that
// a browser can have any number of them.
type pendingLogin struct {
	Login         identity.Login `json:"l"`
	BindingDigest string         `json:"c"` // of the binding cookie of the browser that started it
	StartedAt     time.Time      `json:"b"`
	Return        returnPath     `json:"r"`

	// Why an existing session is not enough.
	ForceLogin bool `json:"a,omitempty"` // a dashboard rejects it
	SwitchUser bool `json:"p,omitempty"` // the issuer must ask who the user is
}

// forcesLogin reports whether the login takes place also if there is a session.
func (b pendingLogin) forcesLogin() bool { return b.ForceLogin || b.SwitchUser }

// returnPath is where the user was on this host.
type returnPath struct {
	URL          string `json:"u"`           // path and query
	Shortened    bool   `json:"s,omitempty"` // they were longer
	KeptFragment bool   `json:"f,omitempty"` // the browser has stored one
}

// states encrypts logins, and lets each be finished once.
type states struct {
	codec     *seal.SecureCodec
	used      ReplayCache
	exchanges chan struct{} // one for each code that is being exchanged
}

func newStates(o Options) *states {
	s := &states{codec: o.Keyring.SecureCodecUpTo("login", maxState), used: o.UsedStates, exchanges: make(chan struct{},
		maxCodeExchanges)}
	if s.used == nil {
		s.used = cache.NewReplay(maxUsedStates, o.Now)
	}
	return s
}

var (
	errStateNotEncrypted = errors.New("the state could not be encrypted")
	errTooManyExchanges  = errors.New("too many codes are being exchanged")
	errStateUsed         = errors.New("the login is finished already: a state is good for one callback")
)

func (s *states) encode(pending pendingLogin) (string, error) {
	state, err := s.codec.Encode(stateName, pending)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errStateNotEncrypted, err)
	}
	return state, nil
}

// isState reports whether a URL carries a state of ours: it is a page on which the issuer
// asks who the user is.
func (s *states) isState(address string) bool {
	_, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	return err == nil && s.codec.Decode(stateName, values.Get("state"), new(pendingLogin)) == nil
}

// decodeState decrypts a state. The login that it returns is authentic, also with an error,
// which says that this browser cannot finish it.
func (h *Handler) decodeState(x *request, state string) (pendingLogin, error) {
	var pending pendingLogin
	if err := h.states.codec.Decode(stateName, state, &pending); err != nil {
		return pendingLogin{}, err
	}
	age := x.ReceivedAt.Sub(pending.StartedAt)
	switch {
	case age > loginLifetime || age < -loginLifetime:
		return pending, errors.New("the login has expired")
	case !h.isBound(x, pending.BindingDigest):
		return pending, identity.ErrStateMismatch
	case !strings.EqualFold(pending.Login.RedirectURI, h.callbackURL(x)):
		return pending, errors.New("the login was started on another host")
	}
	pending.Login.State = state
	return pending, nil
}

// exchangeCode uses the state up and exchanges the code for tokens. If too many codes are
// being exchanged the state stays good.
func (h *Handler) exchangeCode(
	ctx context.Context, pending pendingLogin, params url.Values,
) (identity.TokenSet, error) {
	select {
	case h.states.exchanges <- struct{}{}:
		defer func() { <-h.states.exchanges }()
	default:
		return identity.TokenSet{}, errTooManyExchanges
	}
	first, err := h.states.used.Use(ctx, pending.Login.Verifier, pending.StartedAt, loginLifetime)
	switch {
	case err != nil:
		return identity.TokenSet{}, fmt.Errorf("marking a state as used: %w", err)
	case !first:
		return identity.TokenSet{}, errStateUsed
	}
	return h.issuer.Finish(ctx, pending.Login, params)
}
