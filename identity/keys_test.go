package identity_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/example-org/authgate/identity"
)

// bubble runs a test on a clock of its own, with an issuer of machines that is
// reached without a network, and accepted while f runs.
func bubble(t *testing.T, bend func(*issuer), f func(t *testing.T, i *issuer, b *identity.Bearers, log *locked)) {
	rsaKeys[0]()
	rsaKeys[1]()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer("https://ci.example.com/x").machines()
		if bend != nil {
			bend(i)
		}
		var log locked
		// The login issuer is unreachable: it does not matter here.
		dex := identity.NewOver(config("https://dex.example.com"), discard, memory{http.NotFoundHandler()})
		b := identity.NewBearersOver(dex, []identity.Bearer{ofActions(i)}, slog.New(slog.NewTextHandler(&log, nil)), memory{i})
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { b.Run(ctx) })
		synctest.Wait()
		f(t, i, b, &log)
		stop()
		ended.Wait()
	})
}

// unknown is a token of a key that is not published.
func unknown(i *issuer, n int) string {
	raw := i.jwt(actions())
	_, rest, _ := strings.Cut(raw, ".")
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"RS256","kid":"k%d"}`, n)) + "." + rest
}

func failing(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }

func TestKeysAreFetchedBeforeTheyAreNeeded(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		if n := i.wasAsked("/keys"); n != 1 {
			t.Errorf("keys were fetched %d times", n)
		}
		for range 3 {
			if _, err := b.Verify(t.Context(), i.jwt(actions())); err != nil {
				t.Fatal(err)
			}
		}
		if n := i.wasAsked("/keys"); n != 1 {
			t.Errorf("verifying fetched the keys %d times more", n-1)
		}
	})
}

func TestAFloodOfTokensOfUnknownKeysFetchesTheKeysOnce(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, log *locked) {
		time.Sleep(time.Minute) // on the clock of the bubble: the keys are not fresh
		before := i.wasAsked("/keys")
		var requests sync.WaitGroup
		for n := range 200 {
			requests.Go(func() {
				_, err := b.Verify(t.Context(), unknown(i, n))
				wantRefused(t, err, "none of the keys")
			})
		}
		requests.Wait()
		for n := range 200 {
			_, err := b.Verify(t.Context(), unknown(i, n))
			wantRefused(t, err, "none of the keys")
		}
		if n := i.wasAsked("/keys") - before; n != 1 {
			t.Errorf("keys were fetched %d times", n)
		}
		if n := i.wasAsked("/.well-known/openid-configuration"); n != 1 {
			t.Errorf("the discovery document was fetched %d times", n)
		}
		if strings.Contains(log.String(), "has changed") {
			t.Errorf("the same keys count as others: %s", log.String())
		}
	})
}

func TestAFloodDoesNotFetchMoreOftenWhileTheIssuerFails(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		i.bend(func(i *issuer) { i.instead["/keys"] = failing })
		time.Sleep(time.Minute)
		before := i.wasAsked("/keys")
		for n := range 100 {
			_, err := b.Verify(t.Context(), unknown(i, n))
			wantUnreachable(t, err, "it answered 502")
		}
		if n := i.wasAsked("/keys") - before; n != 1 {
			t.Errorf("keys were fetched %d times", n)
		}
	})
}

func TestWhoComesDuringAFetchWaitsForThatOne(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		time.Sleep(time.Minute)
		before := i.wasAsked("/keys")
		tokens := []string{unknown(i, 0), unknown(i, 1), unknown(i, 2)}
		i.bend(func(i *issuer) {
			published := i.published
			i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(time.Second)
				answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: published})
			}
		})
		var requests sync.WaitGroup
		for _, raw := range tokens {
			requests.Go(func() {
				_, err := b.Verify(t.Context(), raw)
				wantRefused(t, err, "none of the keys")
			})
			synctest.Wait()
		}
		requests.Wait()
		time.Sleep(3 * time.Second)
		if n := i.wasAsked("/keys") - before; n != 1 {
			t.Errorf("keys were fetched %d times", n)
		}
	})
}

func TestAnIssuerMayMoveItsKeys(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		i.bend(func(i *issuer) {
			i.signWith("two", jose.RS256, rsaKeys[1]())
			published, before := i.published, i.document
			i.document = func(d map[string]any) {
				before(d)
				d["jwks_uri"] = i.url + "/moved"
			}
			i.instead["/keys"] = failing
			i.instead["/moved"] = func(w http.ResponseWriter, _ *http.Request) {
				answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: published})
			}
		})
		time.Sleep(5 * time.Minute)
		if _, err := b.Verify(t.Context(), i.jwt(actions())); err != nil {
			t.Error(err)
		}
	})
}

func TestTheKeysOfTheIssuerForPeopleComeWithItsDiscovery(t *testing.T) {
	t.Parallel()
	rsaKeys[0]()
	synctest.Test(t, func(t *testing.T) {
		const discovery = "/.well-known/openid-configuration"
		i := newIssuer("https://dex.example.com/dex")
		i.instead[discovery], i.instead["/keys"] = failing, failing
		rp := identity.NewOver(config(i.url), discard, memory{i})
		b := identity.NewBearers(rp, nil, discard)
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		ended.Go(func() { rp.Run(ctx) })
		ended.Go(func() { b.Run(ctx) })
		<-time.After(10 * time.Minute)

		i.bend(func(i *issuer) { delete(i.instead, discovery) })
		<-rp.Discovered()
		<-time.After(time.Minute)
		if n := i.wasAsked("/keys"); n < 1 || n > 20 {
			t.Errorf("unavailable keys were requested %d times in a minute", n)
		}
		i.bend(func(i *issuer) { delete(i.instead, "/keys") })
		<-time.After(time.Minute)
		now := time.Now()
		person := map[string]any{"sub": "alice", "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		if p, err := b.Verify(t.Context(), i.jwt(person)); err != nil || p.Subject != "alice" {
			t.Errorf("%+v, %v", p, err)
		}
		stop()
		ended.Wait()
	})
}

func TestANewKeyIsKnownAtItsFirstToken(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, log *locked) {
		time.Sleep(10 * time.Second)
		old := i.published[0]
		i.bend(func(i *issuer) {
			i.signWith("two", jose.RS256, rsaKeys[1]())
			i.published = append(i.published, old)
		})
		if _, err := b.Verify(t.Context(), i.jwt(actions())); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "issuer has changed its keys") {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestWithdrawnKeyIsNotAcceptedForLong(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		long := map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}
		seen, unseen := i.jwt(actions(), long), i.jwt(actions(), long, map[string]any{"jti": "other"})
		if _, err := b.Verify(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
		i.bend(func(i *issuer) { i.signWith("two", jose.RS256, rsaKeys[1]()) })
		if _, err := b.Verify(t.Context(), seen); err != nil {
			t.Errorf("before authgate could know: %v", err)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		for _, raw := range []string{seen, unseen} {
			_, err := b.Verify(t.Context(), raw)
			wantRefused(t, err, "none of the keys")
		}
	})
}

func TestKeysAreKeptWhileTheIssuerFails(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, log *locked) {
		i.bend(func(i *issuer) { i.instead["/keys"], i.instead["/.well-known/openid-configuration"] = failing, failing })
		time.Sleep(2 * time.Hour)
		for range 2 {
			if _, err := b.Verify(t.Context(), i.jwt(actions())); err != nil {
				t.Error(err)
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		forged := i.jwt(actions())
		forged = forged[:len(forged)-8] + "AAAAAAAA"
		_, err := b.Verify(t.Context(), forged)
		wantRefused(t, err, "none of the keys")

		i.bend(func(i *issuer) { clear(i.instead) })
		time.Sleep(time.Minute)
		if !strings.Contains(log.String(), "fetched again") {
			t.Errorf("log: %s", log.String())
		}
	})
}

func TestAnIssuerMayComeLater(t *testing.T) {
	t.Parallel()
	bubble(t, func(i *issuer) { i.instead["/.well-known/openid-configuration"] = failing }, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		_, err := b.Verify(t.Context(), i.jwt(actions()))
		wantUnreachable(t, err, "https://ci.example.com/x/.well-known/openid-configuration: it answered 502")
		i.bend(func(i *issuer) { clear(i.instead) })
		time.Sleep(time.Minute)
		if _, err := b.Verify(t.Context(), i.jwt(actions())); err != nil {
			t.Error(err)
		}
	})
}

func TestRequestsDoNotWaitLongForASilentIssuer(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		time.Sleep(time.Minute)
		raw := unknown(i, 1)
		i.bend(func(i *issuer) {
			i.instead["/keys"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		})
		began := time.Now()
		_, err := b.Verify(t.Context(), raw)
		wantUnreachable(t, err, "no answer in time")
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %s", took)
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		_, err = b.Verify(ctx, raw)
		wantUnreachable(t, err, "")
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("who left waited for %s", took)
		}
	})
}

func TestATokenIsGoodUntilItExpires(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		raw := i.jwt(actions()) // for 5 minutes
		first, err := b.Verify(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + 29*time.Second)
		again, err := b.Verify(t.Context(), raw)
		if err != nil || !slices.Equal(first.Groups, again.Groups) || first.Subject != again.Subject {
			t.Errorf("%+v, %v", again, err)
		}
		time.Sleep(time.Second) // clockSkew
		_, err = b.Verify(t.Context(), raw)
		wantRefused(t, err, "expired at")
	})
}

func TestATokenThatWasSeenIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, i *issuer, b *identity.Bearers, _ *locked) {
		raw := i.jwt(actions())
		if _, err := b.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(raw, ".")
		payload := bytes.Replace(must(base64.RawURLEncoding.DecodeString(parts[1])), []byte("example-org/app"), []byte("example-org/top"), 1)
		_, err := b.Verify(t.Context(), parts[0]+"."+base64.RawURLEncoding.EncodeToString(payload)+"."+parts[2])
		wantRefused(t, err, "none of the keys")
	})
}

func TestManyTokensAtOnceAreEachTheirOwn(t *testing.T) {
	t.Parallel()
	i := serve(t).machines()
	i.signWith("ec", jose.ES256, ecKey())
	i.document = func(d map[string]any) { d["id_token_signing_alg_values_supported"] = []string{"ES256"} }
	b := accepting(t, ofActions(i))
	tokens := make([]string, 1500) // more than are remembered
	for n := range tokens {
		tokens[n] = i.jwt(actions(), map[string]any{"sub": fmt.Sprint("job ", n)})
	}
	var requests sync.WaitGroup
	for w := range 4 {
		requests.Go(func() {
			for n := range tokens {
				at := (n + w*300) % len(tokens)
				if p, err := b.Verify(t.Context(), tokens[at]); err != nil || p.Subject != fmt.Sprint("job ", at) {
					t.Errorf("job %d: %+v, %v", at, p, err)
					return
				}
			}
		})
	}
	requests.Wait()
}

func TestKeysForOtherEndsVerifyNothing(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*jose.JSONWebKey){
		"encryption":        func(k *jose.JSONWebKey) { k.Use = "enc" },
		"another algorithm": func(k *jose.JSONWebKey) { k.Algorithm = "RS512" },
		"another name":      func(k *jose.JSONWebKey) { k.KeyID = "two" },
		"a private key":     func(k *jose.JSONWebKey) { k.Key = rsaKeys[0]() },
	} {
		i := serve(t).machines()
		bend(&i.published[0])
		_, err := accepting(t, ofActions(i)).Verify(t.Context(), i.jwt(actions()))
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		wantRefused(t, err, "its signature")
	}
}

func TestAnIssuerNeedNotNameItsKeys(t *testing.T) {
	t.Parallel()
	i := serve(t).machines()
	i.sign = signer("", jose.RS256, rsaKeys[0]())
	good := must(i.published[0].MarshalJSON())
	i.instead["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA"},{"kty":"oct","k":"AAAA"},5,` + string(good) + `]}`))
	}
	if _, err := accepting(t, ofActions(i)).Verify(t.Context(), i.jwt(actions())); err != nil {
		t.Error(err)
	}
}

func BenchmarkATokenThatWasSeen(b *testing.B) {
	verify, raw := benchmarked(b)
	b.ReportAllocs()
	for b.Loop() {
		verify(raw)
	}
	b.ReportMetric(float64(len(raw)), "bytes")
}

func BenchmarkATokenThatWasSeenByAll(b *testing.B) {
	verify, raw := benchmarked(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			verify(raw)
		}
	})
}

// BenchmarkATokenThatIsForged is what a signature costs.
func BenchmarkATokenThatIsForged(b *testing.B) {
	verify, raw := benchmarked(b)
	forged := raw[:len(raw)-8] + "AAAAAAAA"
	verify(forged)
	b.ReportAllocs()
	for b.Loop() {
		verify(forged)
	}
}

func benchmarked(b *testing.B) (verify func(string), raw string) {
	i := newIssuer("https://ci.example.com").machines()
	now := time.Now()
	cfg := config("https://dex.example.com")
	cfg.Now = func() time.Time { return now } // so that no key is fetched again
	dex := identity.NewOver(cfg, discard, memory{http.NotFoundHandler()})
	bearers := identity.NewBearersOver(dex, []identity.Bearer{ofActions(i)}, discard, memory{i})
	bearers.Fetch(b.Context())
	raw = i.jwt(actions())
	if _, err := bearers.Verify(b.Context(), raw); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	return func(raw string) { _, _ = bearers.Verify(ctx, raw) }, raw
}
