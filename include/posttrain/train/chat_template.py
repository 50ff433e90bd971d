"""Tülu 3's chat template with generation markers, so that the loss mask covers the assistant's turns and nothing else."""

TULU_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>\n' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\n' }}"
    "{% else %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""Rendering as in allenai/Llama-3.1-Tulu-3-8B: role tag, newline, content; the end-of-text token closes an answer."""

ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
END_TOKEN, PAD_TOKEN = "<|end_of_text|>", "<|pad|>"
