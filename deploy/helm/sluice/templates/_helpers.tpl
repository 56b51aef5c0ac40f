{{- define "sluice.labels" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "sluice.flow" -}}
{app.kubernetes.io/name: sluice, app.kubernetes.io/instance: {{ .root.Release.Name }}, app.kubernetes.io/component: {{ .name }}}
{{- end }}

{{- define "sluice.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "sluice.kafka" -}}
- {name: SLUICE_KAFKA_PARTITIONS, value: {{ .root.Values.kafka.partitions | quote }}}
- {name: SLUICE_KAFKA_REPLY_PARTITIONS, value: {{ .root.Values.kafka.replyPartitions | quote }}}
- {name: SLUICE_KAFKA_REPLICATION_FACTOR, value: {{ .root.Values.kafka.replicationFactor | quote }}}
{{- $secured := ne .root.Values.kafka.securityProtocol "PLAINTEXT" }}
{{- if and $secured .root.Values.kafka.ca.secret }}
- {name: SLUICE_KAFKA_SSL_CA, value: /run/secrets/sluice/kafka-ca}
{{- end }}
{{- if and $secured (eq .name "setup") }}
- {name: SLUICE_KAFKA_BOOTSTRAP, value: {{ .root.Values.kafka.adminBootstrap | quote }}}
- {name: SLUICE_KAFKA_SECURITY_PROTOCOL, value: SSL}
- {name: SLUICE_KAFKA_SSL_CERTIFICATE, value: /run/secrets/sluice/kafka-admin}
- {name: SLUICE_KAFKA_SSL_KEY, value: /run/secrets/sluice/kafka-admin-key}
{{- else }}
- {name: SLUICE_KAFKA_BOOTSTRAP, value: {{ .root.Values.kafka.bootstrap | quote }}}
- {name: SLUICE_KAFKA_SECURITY_PROTOCOL, value: {{ .root.Values.kafka.securityProtocol | quote }}}
{{- end }}
{{- if and $secured (ne .name "setup") }}
- {name: SLUICE_KAFKA_SASL_MECHANISM, value: {{ .root.Values.kafka.saslMechanism | quote }}}
- {name: SLUICE_KAFKA_SASL_USERNAME, value: "sluice-{{ .name }}"}
- {name: SLUICE_KAFKA_SASL_PASSWORD_FILE, value: /run/secrets/sluice/kafka-password}
{{- end }}
{{- end }}

{{- /* Where a service's password on the broker is. */}}
{{- define "sluice.passwordSecret" -}}
{{ .root.Values.strimzi.users | ternary (printf "sluice-%s" .name) .root.Values.secretName }}
{{- end }}

{{- define "sluice.passwordKey" -}}
{{ .root.Values.strimzi.users | ternary "password" (printf "kafka-password-%s" .name) }}
{{- end }}

{{- define "sluice.kafkaCa" -}}
{{- if and (ne .Values.kafka.securityProtocol "PLAINTEXT") .Values.kafka.ca.secret }}
- secret: {name: {{ .Values.kafka.ca.secret }}, items: [{key: {{ .Values.kafka.ca.key }}, path: kafka-ca}]}
{{- end }}
{{- end }}

{{- define "sluice.pod" -}}
{{- $name := .service.name }}
metadata:
  labels: {{- include "sluice.labels" (dict "root" .root "name" $name) | nindent 4 }}
  annotations:
    checksum/config: {{ toYaml .root.Values.config | sha256sum }}
    prometheus.io/scrape: "true"
    prometheus.io/port: "9000"
spec:
  automountServiceAccountToken: false
  {{- $drains := has $name (list "ingress" "relay") }}
  terminationGracePeriodSeconds: {{ add 60 (ternary .root.Values.drainSeconds 0 $drains) }}
  securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector: {matchLabels: {{ include "sluice.flow" (dict "root" .root "name" $name) }}}
  containers:
    - name: {{ $name }}
      image: {{ include "sluice.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [python, -m, {{ .service.module }}]
      ports:
        - {name: health, containerPort: 9000}
        {{- if eq $name "ingress" }}
        - {name: http, containerPort: 8080}
        {{- else if eq $name "console" }}
        - {name: http, containerPort: 8081}
        {{- end }}
      env:
        {{- include "sluice.kafka" (dict "root" .root "name" $name) | nindent 8 }}
        {{- if $drains }}
        - {name: SLUICE_{{ $name | upper }}_DRAIN_S, value: {{ .root.Values.drainSeconds | quote }}}
        {{- end }}
        {{- if eq $name "ingress" }}
        # Until kube-proxy and the load balancer have seen that the pod is not ready any more.
        - {name: SLUICE_INGRESS_ANNOUNCE_S, value: "10"}
        {{- end }}
        - {name: SLUICE_CONFIG, value: /etc/sluice/config.yaml}
        - {name: SLUICE_TRUSTED_PROXIES, value: {{ .root.Values.trustedProxies | quote }}}
        {{- if eq $name "ingress" }}
        - {name: SLUICE_INGRESS_HOST, value: 0.0.0.0}
        - {name: SLUICE_KAFKA_INSTANCE, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        {{- end }}
        {{- with .root.Values.otlpEndpoint }}
        - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
        - {name: OTEL_METRICS_EXPORTER, value: none}
        {{- end }}
        {{- range .service.signers }}
        - {name: SLUICE_TRUSTED_{{ . | upper | replace "-" "_" }}_KEYS_FILE, value: /run/secrets/sluice/trusted-{{ . }}-keys}
        {{- end }}
        {{- if .service.signs }}
        - {name: SLUICE_RECORD_KEY_FILE, value: /run/secrets/sluice/record-key-{{ $name }}}
        {{- end }}
        {{- if .service.database }}
        - {name: SLUICE_DATABASE_URL_FILE, value: /run/secrets/sluice/database-url-{{ $name }}}
        {{- end }}
        {{- if eq $name "console" }}
        - {name: SLUICE_CONSOLE_HOST, value: 0.0.0.0}
        - {name: SLUICE_CONSOLE_PLAYGROUND_URL, value: "http://{{ .root.Release.Name }}-ingress:8080/api/gateway"}
        - {name: SLUICE_CONSOLE_OPERATOR_TOKEN_FILE, value: /run/secrets/sluice/operator-token}
        - {name: SLUICE_CONSOLE_KEY_ENCRYPTION_KEYS_FILE, value: /run/secrets/sluice/console-key-encryption-keys}
        {{- else if eq $name "key-vault" }}
        - {name: SLUICE_VAULT_KEY_ENCRYPTION_KEYS_FILE, value: /run/secrets/sluice/vault-key-encryption-keys}
        {{- end }}
      {{- if and (eq $name "key-vault") .root.Values.providerKeysSecret }}
      envFrom: [{secretRef: {name: {{ .root.Values.providerKeysSecret }}}}]
      {{- else if and (eq $name "sinks") .root.Values.sinks.secret }}
      envFrom: [{secretRef: {name: {{ .root.Values.sinks.secret }}}}]
      {{- end }}
      startupProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 2, failureThreshold: 60}
      livenessProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 6}
      readinessProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 3, timeoutSeconds: 2}
      resources: {{- toYaml ((index .root.Values.services $name).resources | default .root.Values.resources) | nindent 8 }}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
      volumeMounts:
        - {name: config, mountPath: /etc/sluice, readOnly: true}
        - {name: secrets, mountPath: /run/secrets/sluice, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if and (eq $name "sinks") .root.Values.sinks.claim }}
        - {name: files, mountPath: /var/lib/sluice/files}
        {{- end }}
  volumes:
    {{- if and (eq $name "sinks") .root.Values.sinks.claim }}
    - {name: files, persistentVolumeClaim: {claimName: {{ .root.Values.sinks.claim }}}}
    {{- end }}
    - {name: config, configMap: {name: {{ .root.Release.Name }}-config}}
    - {name: tmp, emptyDir: {}}
    - name: secrets
      projected:
        sources:
          {{- if ne .root.Values.kafka.securityProtocol "PLAINTEXT" }}
          - secret:
              name: {{ include "sluice.passwordSecret" (dict "root" .root "name" $name) }}
              items: [{key: {{ include "sluice.passwordKey" (dict "root" .root "name" $name) }}, path: kafka-password}]
          {{- end }}
          {{- include "sluice.kafkaCa" .root | nindent 10 }}
          {{- if or .service.signers .service.signs .service.database (has $name (list "console" "key-vault")) }}
          - secret:
              name: {{ .root.Values.secretName }}
              items:
                {{- range .service.signers }}
                - {key: trusted-{{ . }}-keys, path: trusted-{{ . }}-keys}
                {{- end }}
                {{- if .service.signs }}
                - {key: record-key-{{ $name }}, path: record-key-{{ $name }}}
                {{- end }}
                {{- if .service.database }}
                - {key: database-url-{{ $name }}, path: database-url-{{ $name }}}
                {{- end }}
                {{- if eq $name "console" }}
                - {key: operator-token, path: operator-token}
                - {key: console-key-encryption-keys, path: console-key-encryption-keys}
                {{- else if eq $name "key-vault" }}
                - {key: vault-key-encryption-keys, path: vault-key-encryption-keys}
                {{- end }}
          {{- end }}
{{- end }}
