//! The loaded model: scores one pair, from its tokens through the graph to a logit.
//!
//! Pairs run one by one. In an int8 graph the activations are quantised with a scale that is taken over the whole batch
//! (`DynamicQuantizeLinear`), so in a batch the score of a pair would depend on its neighbours. It could not be cached,
//! and equal requests would not get equal answers. A batch would hardly be faster either: one pair keeps a processor
//! busy.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rerankd_core::embedded::PairScorer;
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::calibration::Calibration;
use super::directory::ModelDirectory;
use super::operators::operators;

/// A loaded model with its tokenizer.
pub(super) struct CrossEncoder {
    tokenizer: Tokenizer,
    model: Model,
    /// Of the graph, in its order.
    inputs: Vec<(NodeId, ModelInput)>,
    /// One logit.
    output: NodeId,
    /// From raw scores to probabilities.
    calibration: Calibration,
    /// Tokens at which the tokenizer cuts a pair, special ones included.
    max_tokens: usize,
    /// Idle pools of one thread each: one for every pair that was ever scored at once. Several threads would speed up
    /// one pair by little.
    idle: Mutex<Vec<Arc<ThreadPool>>>,
}

/// Bytes allowed per word when a text is cut before tokenizing. Far above the longest word of any language; bounds what
/// the tokenizer reads of a text without blanks.
const MAX_BYTES_PER_WORD: usize = 256;

/// Number of the passage among the two sequences of a pair.
const PASSAGE: usize = 1;

/// An input of the graph: one number for each token of a pair.
#[derive(Clone, Copy)]
enum ModelInput {
    /// The token's place in the vocabulary.
    Ids,
    /// 1 for a token, 0 for padding; here always 1.
    Mask,
    /// 0 for a token of the query, 1 for one of the passage.
    Types,
}

impl ModelInput {
    /// The input of this name, as exporters of BERT models give it.
    fn by_name(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::Types),
            _ => None,
        }
    }

    /// The numbers of a pair's tokens, all of the same length.
    fn of(self, pair: &Encoding) -> &[u32] {
        match self {
            Self::Ids => pair.get_ids(),
            Self::Mask => pair.get_attention_mask(),
            Self::Types => pair.get_type_ids(),
        }
    }
}

impl CrossEncoder {
    /// Loads the files of a directory. Takes a fraction of a second and about twice the size of the graph in memory.
    ///
    /// # Errors
    /// A sentence: a file cannot be read, or is not of a cross-encoder of the BERT kind.
    pub(super) fn load(directory: &ModelDirectory, max_tokens: usize) -> Result<Self, String> {
        let tokenizer_file = directory.tokenizer();
        let mut tokenizer = Tokenizer::from_file(&tokenizer_file).map_err(|error| unusable(&tokenizer_file, &error))?;
        // Many tokenizer files pad to a fixed length, and every pair would take as long as the longest.
        tokenizer.with_padding(None);
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(|error| unusable(&tokenizer_file, &error))?;
        let graph_file = directory.graph();
        let options = ModelOptions::with_ops(operators());
        let model = options.load_file(&graph_file).map_err(|error| unusable(&graph_file, &error))?;
        let (inputs, output) = interface(&model).map_err(|error| unusable(&graph_file, &error))?;
        let digest = directory.digest().map_err(|error| unusable(&graph_file, &error))?;
        let calibration = Calibration::of(&digest);
        Ok(Self { tokenizer, model, inputs, output, calibration, max_tokens, idle: Mutex::default() })
    }

    /// The tokens of a pair. `passage` is a [`beginning`].
    ///
    /// # Errors
    /// A sentence that quotes neither text.
    fn tokens(&self, query: &str, passage: &str) -> Result<Encoding, String> {
        // The tokenizer would split a text of megabytes, only to keep the first `max_tokens` of it.
        let query = beginning(query, self.max_tokens);
        // The errors of this library and the next are dropped, because they may quote a text.
        self.tokenizer.encode((query, passage), true).map_err(|_| "the tokenizer failed at a pair".to_owned())
    }

    /// The raw score of one pair, in the model's own scale; higher is more relevant. A pair that is too long is cut,
    /// the longer of the two texts first.
    ///
    /// # Errors
    /// A sentence that quotes neither text.
    fn logit(&self, query: &str, passage: &str, threads: &Arc<ThreadPool>) -> Result<f64, String> {
        let pair = self.tokens(query, beginning(passage, self.max_tokens))?;
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (node, input) in &self.inputs {
            let values: Vec<i32> = input.of(&pair).iter().map(|&value| value.cast_signed()).collect();
            let tensor = NdTensor::from_data([1, pair.len()], values);
            inputs.push((*node, ValueOrView::from(Value::from(tensor))));
        }
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        let outputs = self
            .model
            .run(inputs, &[self.output], Some(options))
            .map_err(|_| "the graph failed at a pair".to_owned())?;
        let scores = outputs.into_iter().next().and_then(Value::into_tensor::<f32>);
        if let Some(scores) = scores
            && let [score] = scores.to_vec()[..]
            && score.is_finite()
        {
            return Ok(f64::from(score));
        }
        Err("the graph gave something else than one finite score for a pair".to_owned())
    }
}

impl PairScorer for CrossEncoder {
    fn score(&self, query: &str, passage: &str) -> Result<f64, String> {
        // In a statement of its own, so that the lock is not held while a pool is made.
        let idle = self.idle.lock().pop();
        let threads = idle.unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        let logit = self.logit(query, passage, &threads);
        self.idle.lock().push(threads);
        Ok(self.calibration.probability(logit?))
    }

    fn bytes_read(&self, query: &str, passage: &str) -> Result<usize, String> {
        let kept = beginning(passage, self.max_tokens);
        let pair = self.tokens(query, kept)?;
        if pair.get_overflowing().is_empty() && kept.len() >= passage.trim_end().len() {
            return Ok(passage.len());
        }
        // The end of the passage's last token.
        let mut end = 0;
        for (sequence, (_, token_end)) in pair.get_sequence_ids().iter().zip(pair.get_offsets()) {
            if *sequence == Some(PASSAGE) {
                end = *token_end;
            }
        }
        // Blanks in front of an endless text may have been left out.
        let skipped = if passage.starts_with(kept) { 0 } else { passage.len() - passage.trim_start().len() };
        let read = skipped + end;
        // The query may be what was cut.
        Ok(if read >= passage.trim_end().len() { passage.len() } else { read })
    }
}

#[cfg(test)]
impl CrossEncoder {
    /// Number of pools that score nothing at the moment.
    pub(super) fn idle_threads(&self) -> usize {
        self.idle.lock().len()
    }
}

/// The first `max_words` words of `text`. A word has at least one token, so the tokenizer's cut after `max_tokens`
/// finds the same tokens. The bound in bytes is for text without blanks; only there may tokens be lost.
fn beginning(text: &str, max_words: usize) -> &str {
    let max_bytes = max_words.saturating_mul(MAX_BYTES_PER_WORD);
    // Blanks in front must not use up the bytes and hide the text.
    let text = if text.len() > max_bytes { text.trim_start() } else { text };
    let text = &text[..text.floor_char_boundary(max_bytes)];
    let mut words_left = max_words;
    let mut in_word = false;
    for (at, character) in text.char_indices() {
        let is_blank = character.is_whitespace();
        if in_word && is_blank {
            words_left -= 1;
            if words_left == 0 {
                return &text[..at];
            }
        }
        in_word = !is_blank;
    }
    text
}

/// Loads the files of a directory and scores a pair, as the first call would: some faults of a graph show only then.
///
/// # Errors
/// A sentence that names the broken file.
pub(super) fn check(directory: &ModelDirectory, max_tokens: usize) -> Result<(), String> {
    let model = CrossEncoder::load(directory, max_tokens)?;
    model.score("query", "passage").map_err(|error| unusable(&directory.graph(), &error))?;
    Ok(())
}

/// The error of a file. It names the file without its directory, because clients see it.
fn unusable(file: &Path, error: &dyn Display) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).display();
    format!("{name} cannot be used: {error}; `rerankd model fetch` gets a model that can")
}

/// The inputs and the only output of a graph.
///
/// # Errors
/// A clause about the graph: an input is unknown, or there is not exactly one output.
fn interface(model: &Model) -> Result<(Vec<(NodeId, ModelInput)>, NodeId), String> {
    let mut inputs = Vec::with_capacity(model.input_ids().len());
    for &node in model.input_ids() {
        let info = model.node_info(node);
        let name = match &info {
            Some(info) => info.name().unwrap_or_default(),
            None => "",
        };
        let Some(input) = ModelInput::by_name(name) else {
            return Err(format!(
                "its input {name:?} is none of input_ids, attention_mask and token_type_ids of a BERT"
            ));
        };
        inputs.push((node, input));
    }
    let &[output] = model.output_ids() else {
        return Err(format!("it has {} outputs, a cross-encoder has one", model.output_ids().len()));
    };
    Ok((inputs, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_matter_is_cut_off_between_words() {
        assert_eq!(beginning(" one  two three", 2), " one  two");
        assert_eq!(beginning("one two", 2), "one two");
        assert_eq!(beginning("one two ", 2), "one two");
        assert_eq!(beginning("", 2), "");
        let run = "x".repeat(1_000);
        let wide = "東".repeat(1_000);
        assert_eq!(beginning(&run, 2).len(), 2 * MAX_BYTES_PER_WORD);
        assert_eq!(beginning(&format!("{}one two three", " \n".repeat(1_000)), 2), "one two");
        assert_eq!(beginning(&wide, 2).chars().count(), 2 * MAX_BYTES_PER_WORD / 3);
    }
}
