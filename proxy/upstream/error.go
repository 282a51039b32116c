package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/example-org/authgate/proxy/respond"
	"github.com/example-org/authgate/proxy/stream"
	"github.com/example-org/authgate/proxy/upstream/transport"
	"github.com/example-org/authgate/text"
)

// statusClientClosedRequest is nginx's status for a client that left before the response. It is
// in the audit; no client receives it.
const statusClientClosedRequest = 499

// retryAfter is when a client may try again what an upstream did not answer, in seconds.
const retryAfter = 10

// badResponseError is a response of an upstream that is not valid.
type badResponseError struct{ err text.SafeError }

func (e *badResponseError) Error() string {
	return "the upstream's answer cannot be used: " + string(e.err)
}
func (e *badResponseError) Unwrap() error { return e.err }

// handleError responds if the upstream did not, or not to the end of its header.
func (f *forwarding) handleError(err error) {
	var cut *stream.CutError
	var tooLarge *http.MaxBytesError
	bodyError := f.body.settledError()
	switch {
	case errors.As(context.Cause(f.ctx), &cut):
		f.fail(cutRefusal(cut.Reason))
	case errors.Is(err, errTooManyStreams):
		f.Result.Refused = f.Result.HeaderAt.IsZero()
		f.fail(&respond.Refusal{
			Status: http.StatusTooManyRequests, Code: "too_many_streams",
			Detail: "You have too many streams open at " + f.Upstream.Name + " and elsewhere. Close some, then try again.",
		})
	case errors.Is(bodyError, errBodyTimeout):
		f.fail(&respond.Refusal{
			Status: http.StatusRequestTimeout, Code: codeBodyTimeout,
			Detail: "The request's body stopped arriving.",
		})
	case errors.As(bodyError, &tooLarge):
		f.fail(f.bodyTooLarge())
	case f.R.Context().Err() != nil, errors.Is(bodyError, io.ErrUnexpectedEOF), isNetwork(bodyError):
		f.Result.Reason = "client_gone"
		respond.CloseIfUnread(f.Recorder, f.R)
		f.Recorder.WriteHeader(statusClientClosedRequest)
	case bodyError != nil:
		f.fail(&respond.Refusal{
			Status: http.StatusBadRequest, Code: "bad_body", Detail: "The request's body could not be read.",
			Cause: text.SafeError("the client sent a body that cannot be read"),
		})
	default:
		f.fail(upstreamRefusal(f.Upstream.Name, causeOf(f.ctx, err)))
	}
}

// causeOf prefers why a request was cancelled over that it was.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (f *forwarding) bodyTooLarge() *respond.Refusal {
	return &respond.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Detail: "The request's body is larger than the " + strconv.FormatInt(f.BodyLimit,
			10) + " bytes that may be sent here.",
	}
}

// upstreamRefusal distinguishes an upstream that is unreachable, too slow, or sent an invalid
// response. The detail has the upstream's name and nothing of its address.
func upstreamRefusal(name string, err error) *respond.Refusal {
	// the error itself may repeat what the upstream sent, even our token
	r := &respond.Refusal{Cause: text.SafeError(text.RedactError(err)), RetryAfter: retryAfter}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		r.Status, r.Code, r.Detail = http.StatusGatewayTimeout, "upstream_timeout",
			"The dashboard "+name+" did not answer in time."
	case isNetwork(err), isTLS(err), transport.IsConnectionClosed(err):
		r.Status, r.Code, r.Detail = http.StatusBadGateway, "upstream_down", "The dashboard "+name+" could not be reached."
	default:
		r.Status, r.Code, r.Detail = http.StatusBadGateway, "upstream_bad_response",
			"The dashboard "+name+" gave an answer that cannot be used."
	}
	return r
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

// cutRefusal says why a stream ended, where the response can still contain it.
func cutRefusal(reason string) *respond.Refusal {
	r := &respond.Refusal{Code: "stream_cut"}
	switch reason {
	case stream.Denied:
		r.Status, r.Detail = http.StatusForbidden, "The stream was ended: the policy no longer allows it."
	case stream.Expired, stream.SignedOut:
		r.Status, r.Detail = http.StatusUnauthorized, "The stream was ended: your session has ended. Sign in again."
	default:
		r.Status, r.Detail = http.StatusServiceUnavailable, "The stream was ended. Open it again."
	}
	return r
}
