package identity

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"
)

// keysEvery is how often the issuer's keys are fetched at most. go-oidc fetches
// them for every token that none of them signed, and strangers can send those. For
// them, a key that the issuer begins to use within this time of a fetch is not
// known until it has passed; what the token endpoint gave is not made to wait.
const keysEvery = 5 * time.Second

// keyAnswers repeats the last answer of jwks_uri for a moment.
type keyAnswers struct {
	base http.RoundTripper
	now  func() time.Time

	mu   sync.Mutex
	at   time.Time
	last *http.Response // without a body
	body []byte
}

// RoundTrip takes turns: whoever comes during a fetch gets its answer.
func (k *keyAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := k.now().Sub(k.at); k.last != nil && age >= 0 && age < keysEvery {
		return k.answer(req), nil
	}
	resp, err := k.base.RoundTrip(req)
	if err != nil {
		return nil, err // a sentence of its own already
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body = io.NopCloser(bytes.NewReader(body))
		return resp, nil
	}
	k.at, k.last, k.body = k.now(), resp, body
	return k.answer(req), nil
}

func (k *keyAnswers) answer(req *http.Request) *http.Response {
	again := *k.last
	again.Request, again.Header = req, k.last.Header.Clone()
	again.Body = io.NopCloser(bytes.NewReader(k.body))
	return &again
}
