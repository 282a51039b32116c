package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/example-org/authgate/audit"
	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/proxy/upstream/transport"
	"github.com/example-org/authgate/text"
)

// statusClientClosedRequest is nginx's word for a client that left before the answer. It
// stands in the audit; nobody receives it.
const statusClientClosedRequest = 499

// badResponseError is what an upstream sends that is no answer.
type badResponseError struct{ err text.SafeError }

func (e *badResponseError) Error() string {
	return "the upstream's answer cannot be used: " + string(e.err)
}
func (e *badResponseError) Unwrap() error { return e.err }

// handleError answers where the upstream did not, or not to the end of its header. The
// request handed to it is the outgoing one, credentials included: it is not
// looked at.
func (f *forwarding) handleError(_ http.ResponseWriter, _ *http.Request, err error) {
	x := f.x
	x.outcome = audit.Allow // it was let through
	var cut *stream.CutError
	var tooLarge *http.MaxBytesError
	fault := f.body.readError()
	switch {
	case errors.As(context.Cause(f.ctx), &cut):
		x.refusal = refusalOfCut(cut.Reason)
	case errors.Is(err, errTooManyStreams):
		if x.upstreamHeaderAt.IsZero() { // the upstream has not been asked
			x.outcome = audit.Refuse
		}
		x.refuse(http.StatusTooManyRequests, "too_many_streams",
			"You have too many streams open at "+x.route.name+" and elsewhere. Close some, then try again.", nil)
	case errors.Is(fault, errBodyTimeout):
		x.refuse(http.StatusRequestTimeout, codeBodyTimeout, "The request's body stopped arriving.", nil)
	case errors.As(fault, &tooLarge):
		f.p.refuseBodyTooLarge(x)
		return
	case x.r.Context().Err() != nil, errors.Is(fault, io.ErrUnexpectedEOF), isNetwork(fault):
		x.reason = "client_gone"
		respond.CloseIfUnread(x.w, x.r)
		x.w.WriteHeader(statusClientClosedRequest)
		return
	case fault != nil:
		x.refuse(http.StatusBadRequest, "bad_body", "The request's body could not be read.", text.SafeError("the client sent a body that cannot be read"))
	default:
		x.refusal = refusalOfUpstream(x.route.name, causeOf(f.ctx, err))
	}
	f.p.answer(x)
}

// causeOf prefers why a request was cancelled over that it was.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (p *Proxy) refuseBodyTooLarge(x *exchange) {
	x.refuse(http.StatusRequestEntityTooLarge, "body_too_large",
		"The request's body is larger than the "+strconv.FormatInt(p.config.Limits.BodyBytes, 10)+" bytes that may be sent here.", nil)
	p.answer(x)
}

// refusalOfUpstream tells apart who was not there, who was too slow and who
// answered nonsense. The detail names the upstream and nothing of where it is.
func refusalOfUpstream(name string, err error) *Refusal {
	why := text.SafeError(text.RedactError(err)) // the error itself may repeat what the upstream sent, our token too
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return &Refusal{Status: http.StatusGatewayTimeout, Code: "upstream_timeout", Detail: "The dashboard " + name + " did not answer in time.", Cause: why}
	case isNetwork(err), isTLS(err), transport.IsConnectionClosed(err):
		return &Refusal{Status: http.StatusBadGateway, Code: "upstream_down", Detail: "The dashboard " + name + " could not be reached.", Cause: why}
	default:
		return &Refusal{Status: http.StatusBadGateway, Code: "upstream_bad_response", Detail: "The dashboard " + name + " gave an answer that cannot be used.", Cause: why}
	}
}

func isNetwork(err error) bool {
	var network *net.OpError
	return errors.As(err, &network)
}

func isTLS(err error) bool {
	var (
		plain       tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
	)
	return errors.As(err, &plain) || errors.As(err, &certificate) || errors.As(err, &alert)
}

// refusalOfCut says why a stream ended, where there is still room to say it.
func refusalOfCut(reason string) *Refusal {
	r := &Refusal{Code: "stream_cut"}
	switch reason {
	case stream.Denied:
		r.Status, r.Detail = http.StatusForbidden, "The stream was ended: the policy does not allow it any more."
	case stream.Expired, stream.SignedOut:
		r.Status, r.Detail = http.StatusUnauthorized, "The stream was ended: your session is over. Sign in again."
	default:
		r.Status, r.Detail = http.StatusServiceUnavailable, "The stream was ended. Open it again."
	}
	return r
}
