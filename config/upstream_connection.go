package config

import (
	"time"

	"github.com/example-org/authgate/yamlfile"
)

// UpstreamTransport is what sends requests in HTTP/1.1 to an upstream.
type UpstreamTransport string

// The transports.
const (
	TransportAuto     UpstreamTransport = "auto" // authgate's own
	TransportStandard UpstreamTransport = "std"  // net/http's
)

func (UpstreamTransport) values() []string {
	return []string{string(TransportAuto), string(TransportStandard)}
}

// UpstreamTimeouts are those of one upstream. The first two are those of
// [Timeouts] where the file does not say otherwise.
type UpstreamTimeouts struct {
	UpstreamDial   Duration `yaml:"upstreamDial"`
	UpstreamHeader Duration `yaml:"upstreamHeader"` // 0: none
	Idle           Duration `yaml:"idle"`
}

// inheritTimeout stands for a value that the file does not have.
const inheritTimeout Duration = -1

const defaultUpstreamIdle = Duration(4 * time.Second)

// Dial is how long a connection may take to be made.
func (t UpstreamTimeouts) Dial(all Timeouts) time.Duration {
	if t.UpstreamDial <= 0 {
		return time.Duration(all.UpstreamDial)
	}
	return time.Duration(t.UpstreamDial)
}

// Header is how long an answer may take to begin; 0 is no limit.
func (t UpstreamTimeouts) Header(all Timeouts) time.Duration {
	if t.UpstreamHeader < 0 {
		return time.Duration(all.UpstreamHeader)
	}
	return time.Duration(t.UpstreamHeader)
}

func (t UpstreamTimeouts) check(at yamlfile.Node) {
	if dial := at.Key("upstreamDial"); dial.IsSet() {
		t.UpstreamDial.checkPositive(dial)
	}
	if header := at.Key("upstreamHeader"); header.IsSet() {
		t.UpstreamHeader.checkNotNegative(header)
	}
	t.Idle.checkPositive(at.Key("idle"))
}

// UpstreamTLS is what one upstream needs of TLS in addition to its CAs.
type UpstreamTLS struct {
	ServerName string `yaml:"serverName"` // empty: the host of url
	CertFile   string `yaml:"certFile" is:"file"`
	KeyFile    string `yaml:"keyFile" is:"file"`
}

// HasClientCert reports whether a client certificate is shown.
func (t UpstreamTLS) HasClientCert() bool { return t.CertFile != "" }

func (t UpstreamTLS) check(scheme string, at yamlfile.Node) {
	if t == (UpstreamTLS{}) {
		return
	}
	if scheme != SchemeHTTPS && scheme != "" {
		at.AddFault("is for https, and url begins with "+scheme+":", "write https in url, or leave tls out")
	}
	if t.ServerName != "" {
		checkHost(t.ServerName).addTo(at.Key("serverName"))
	}
	if t.ServerName == "*" {
		at.Key("serverName").AddFault("is one name, not any", "write the name that the upstream's certificate is for")
	}
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		at.Key("keyFile").AddFault("is missing, and certFile is worth nothing without it",
			"name the private key of the certificate, in PEM")
	case t.CertFile == "" && t.KeyFile != "":
		at.Key("certFile").AddFault("is missing, and keyFile is worth nothing without it",
			"name the certificate of the key, in PEM, with its chain")
	}
}
