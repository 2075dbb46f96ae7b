package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"
)

// TLS names the files of a connection's security. The zero value trusts the
// system's authorities and shows no certificate.
type TLS struct {
	CAFile   string // PEM: the authorities that may vouch for the broker; empty means the system's
	CertFile string // PEM: the board's certificate with its chain, for mutual TLS
	KeyFile  string // PEM: its key
}

// Check reads the files as the next connect would, for config checks and doctors.
func (t TLS) Check() error {
	_, err := t.config("localhost")
	return err
}

func (t TLS) config(server string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("mqtt.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("mqtt.ca_file: %s holds no PEM certificate", t.CAFile)
		}
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("mqtt.cert_file and mqtt.key_file belong together: give both or neither")
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("mqtt.cert_file %s with mqtt.key_file %s: %w", t.CertFile, t.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// parseURL reads the broker's address and fills in the scheme's port.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	port := ""
	switch u.Scheme {
	case "mqtt", "tcp":
		port = "1883"
	case "mqtts", "ssl", "tls":
		port = "8883"
	default:
		return nil, fmt.Errorf("url %q: want mqtt://host:port, or mqtts://host:port for TLS", Redact(s))
	}
	if u.Hostname() == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, fmt.Errorf("url %q: want a host and a port only; name and password have their own settings", Redact(s))
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return u, nil
}

func secure(u *url.URL) bool { return u.Scheme != "mqtt" && u.Scheme != "tcp" }

// Redact takes a password out of a URL that should not have had one.
func Redact(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return "(unreadable url)"
}

func readPassword(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("mqtt.password_file: %w", err)
	}
	b, _, _ = bytes.Cut(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	if len(b) == 0 {
		return nil, fmt.Errorf("mqtt.password_file: the first line of %s is empty", file)
	}
	return b, nil
}

// dial opens the network connection, with TLS where the URL says so.
func dial(ctx context.Context, o Options) (net.Conn, error) {
	u, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	nc = prompt(nc)
	if !secure(u) {
		return nc, nil
	}
	c, err := o.TLS.config(u.Hostname())
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	if o.ClockUnsynced {
		ignoreDates(c, func(leaf *x509.Certificate) {
			o.Log.Warn("the clock is unsynced: the broker's certificate is accepted without its dates",
				"valid_from", day(leaf.NotBefore), "valid_to", day(leaf.NotAfter), "clock", day(time.Now()),
				"mend", "give the board a time server or a battery for its clock")
		})
	}
	tc := tls.Client(nc, c)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, explainTLS(err)
	}
	return tc, nil
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// ignoreDates verifies chain and name as ever, but where only the dates fail,
// it takes the moment at which the whole chain is valid instead of now. A board
// without a battery wakes up in the past; it must reach its broker all the same.
func ignoreDates(c *tls.Config, used func(leaf *x509.Certificate)) {
	c.InsecureSkipVerify = true // VerifyConnection does it
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return errors.New("the broker shows no certificate")
		}
		leaf, v := s.PeerCertificates[0], x509.VerifyOptions{Roots: c.RootCAs, DNSName: c.ServerName, Intermediates: x509.NewCertPool()}
		for _, cert := range s.PeerCertificates[1:] {
			v.Intermediates.AddCert(cert)
		}
		_, err := leaf.Verify(v)
		if !badDate(err) {
			return err
		}
		for _, cert := range s.PeerCertificates {
			if v.CurrentTime.Before(cert.NotBefore) {
				v.CurrentTime = cert.NotBefore
			}
		}
		if _, err := leaf.Verify(v); err != nil {
			return err
		}
		used(leaf)
		return nil
	}
}

func badDate(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// explainTLS says what to do about a failed handshake.
func explainTLS(err error) error {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case badDate(err):
		var invalid x509.CertificateInvalidError
		errors.As(err, &invalid)
		return fmt.Errorf("the broker's certificate is valid from %s to %s and the board's clock says %s: set the clock if it is wrong (timedatectl), else renew the certificate: %w",
			day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter), day(time.Now()), err)
	case errors.As(err, &authority):
		return fmt.Errorf("the broker's certificate is signed by nobody this board trusts: put the authority's certificate into mqtt.ca_file: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the broker's certificate is for another host: use the name it was made for in mqtt.url: %w", err)
	}
	return fmt.Errorf("TLS with the broker failed: %w", err)
}
