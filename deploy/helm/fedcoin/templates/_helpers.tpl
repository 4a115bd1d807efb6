{{/* The name of a role's objects. Takes a dict with `top` and `name`. */}}
{{- define "fedcoin.name" -}}
{{ printf "%s-%s" .top.Release.Name .name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fedcoin.labels" -}}
app.kubernetes.io/name: fedcoin
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* What answers health checks. Kubernetes' grpc probes speak no TLS; with TLS the command asks. */}}
{{- define "fedcoin.readiness" -}}
{{- if .role.tlsSecret }}
exec:
  command: ["fedcoin-node", "health", "--node", "127.0.0.1:{{ .port }}", "--timeout", "10"]
{{- else }}
grpc: {port: {{ .port }}}
{{- end }}
{{- end }}
