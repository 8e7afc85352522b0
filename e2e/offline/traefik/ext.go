// Package ext is where Traefik's own commercial edition adds fields to its configuration. The module is a folder of Traefik's repository
// that its published module leaves out.
package ext

// HTTP adds nothing.
type HTTP struct{}

// Router adds nothing.
type Router struct{}
