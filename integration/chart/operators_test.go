package chart_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Types of operators whose own Go modules are large: the fields that the chart and
// its examples use.

type certManagerCertificate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		SecretName  string            `json:"secretName"`
		IssuerRef   map[string]string `json:"issuerRef"`
		DNSNames    []string          `json:"dnsNames"`
		Duration    metav1.Duration   `json:"duration"`
		RenewBefore metav1.Duration   `json:"renewBefore"`
		Usages      []string          `json:"usages"`
		PrivateKey  struct {
			Algorithm      string `json:"algorithm"`
			Size           int    `json:"size"`
			RotationPolicy string `json:"rotationPolicy"`
		} `json:"privateKey"`
	} `json:"spec"`
}

func (c *certManagerCertificate) DeepCopyObject() runtime.Object { copied := *c; return &copied }

func addCertManager(kinds *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "cert-manager.io", Version: "v1"}
	kinds.AddKnownTypeWithName(version.WithKind("Certificate"), &certManagerCertificate{})
	return nil
}

type externalSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		RefreshInterval metav1.Duration `json:"refreshInterval"`
		SecretStoreRef  struct {
			Name string `json:"name"`
			Kind string `json:"kind"`
		} `json:"secretStoreRef"`
		Target struct {
			Name           string `json:"name"`
			CreationPolicy string `json:"creationPolicy"`
		} `json:"target"`
		DataFrom []struct {
			Extract struct {
				Key string `json:"key"`
			} `json:"extract"`
		} `json:"dataFrom"`
	} `json:"spec"`
}

func (s *externalSecret) DeepCopyObject() runtime.Object { copied := *s; return &copied }

func addExternalSecrets(kinds *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "external-secrets.io", Version: "v1"}
	kinds.AddKnownTypeWithName(version.WithKind("ExternalSecret"), &externalSecret{})
	return nil
}
