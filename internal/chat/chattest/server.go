// Package chattest stands for chat and paging services in tests: a proxy that leads to one server on
// this machine, whatever is asked for, and that server, which has a certificate for their names.
package chattest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// names are those that the certificate is for.
var names = []string{"hooks.slack.com", "slack.com", "discord.com", "prod.westeurope.logic.azure.com",
	"contoso.webhook.office.com", "api.telegram.org", "matrix.example.org", "chat.example.org",
	"ntfy.sh", "push.example.org", "api.pushover.net", "api.opsgenie.com", "events.pagerduty.com",
	"hook.example.org"}

// Request is one that the server got.
type Request struct {
	Method, Host, Path, Query, Body string
	Header                          http.Header
}

// Server is the proxy and the server.
type Server struct {
	Proxy string // its URL
	CA    []byte // who signed the certificate

	mu     sync.Mutex
	answer http.HandlerFunc
	got    chan Request
	tls    *httptest.Server
	proxy  *httptest.Server
}

// New starts both. The answers are those of the service in question to a message that it takes.
func New() (*Server, error) {
	certificate, authority, err := sign()
	if err != nil {
		return nil, err
	}
	s := &Server{CA: authority, answer: Accept, got: make(chan Request, 1000)}
	s.tls = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.tls.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.tls.StartTLS()
	s.proxy = httptest.NewServer(http.HandlerFunc(s.connect))
	s.Proxy = s.proxy.URL
	return s, nil
}

// Close stops both.
func (s *Server) Close() {
	s.proxy.CloseClientConnections()
	s.tls.CloseClientConnections()
	s.proxy.Close()
	s.tls.Close()
}

// Answer sets what is answered from now on.
func (s *Server) Answer(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Next returns the next request. It waits for it a minute at most.
func (s *Server) Next() (Request, error) {
	select {
	case r := <-s.got:
		return r, nil
	case <-time.After(time.Minute):
		return Request{}, errors.New("no request came")
	}
}

// All returns the requests that came and were not asked for.
func (s *Server) All() (all []Request) {
	for {
		select {
		case r := <-s.got:
			all = append(all, r)
		default:
			return all
		}
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what came of it counts
	s.got <- Request{Method: r.Method, Host: r.Host, Path: r.URL.Path, Query: r.URL.RawQuery,
		Body: string(body), Header: r.Header}
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	answer(w, r)
}

// connect is the proxy.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this proxy only connects", http.StatusMethodNotAllowed)
		return
	}
	to, err := net.Dial("tcp", s.tls.Listener.Addr().String())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	from, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = to.Close() // nothing was sent
		return
	}
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n") // else the copying ends at once
	go func() {
		_, _ = io.Copy(to, from) // one side has had enough
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to) // as above
	_ = from.Close()
}

// Accept answers as the service that is asked does when it takes a message.
func Accept(w http.ResponseWriter, r *http.Request) {
	says := map[string]string{
		"hooks.slack.com":            "ok",
		"slack.com":                  `{"ok":true}`,
		"discord.com":                "",
		"contoso.webhook.office.com": "1",
		"api.telegram.org":           `{"ok":true,"result":{"message_id":1}}`,
		"matrix.example.org":         `{"event_id":"$1","room_id":"!ops:example.org"}`,
		"events.pagerduty.com:443":   `{"status":"success","message":"Event processed","dedup_key":"1"}`,
		"api.opsgenie.com:443":       `{"result":"Request will be processed","took":0.1,"requestId":"1"}`,
	}[r.Host]
	status := map[string]int{
		"discord.com": http.StatusNoContent, "prod.westeurope.logic.azure.com": http.StatusAccepted,
		"events.pagerduty.com:443": http.StatusAccepted, "api.opsgenie.com:443": http.StatusAccepted,
	}[r.Host]
	if says == "" && status == 0 {
		says = `{"status":1}`
	}
	w.WriteHeader(max(status, http.StatusOK))
	_, _ = io.WriteString(w, says) // who asked may be gone
}

// sign makes a certificate for the names, and returns who signed it.
func sign() (certificate tls.Certificate, authority []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate, nil, err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		return certificate, nil, err
	}
	certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
