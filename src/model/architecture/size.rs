//! Counting parameters.

use super::*;

impl Architecture {
    /// Number of parameters that the computation uses; what is shared counts once.
    pub fn parameters(&self) -> u64 {
        let stacks = self.encoder.iter().chain([&self.main]);
        let mut tables: Vec<&Table> = Vec::new();
        for table in stacks.clone().map(|stack| &stack.embedding.tokens) {
            if !tables.iter().any(|known| known.is(table)) {
                tables.push(table);
            }
        }
        let tables: usize = tables.into_iter().map(Table::parameters).sum();
        (tables + self.head.parameters() + stacks.map(Stack::parameters).sum::<usize>()) as u64
    }
}

impl Stack {
    /// All but the token table.
    fn parameters(&self) -> usize {
        let Embedding { positions, segments, languages, norm, project, .. } = &self.embedding;
        let positions = match positions {
            Some(PositionTable::Learned { table, .. }) => table.parameters(),
            _ => 0,
        };
        let segments = if let Segments::Table(table) = segments { table.parameters() } else { 0 };
        let summed = match project {
            Some((_, Place::AfterNorm)) => self.embedding.tokens.width,
            _ => self.width,
        };
        let different = self.blocks.iter().enumerate().filter(|(i, block)| !self.blocks[..*i].contains(block));
        let mut biases: Vec<&PositionBias> = Vec::new();
        for bias in self.blocks.iter().filter_map(|block| block.attention.position_bias.as_ref()) {
            if !biases.contains(&bias) {
                biases.push(bias);
            }
        }
        let mut distances: Vec<&Distances> = Vec::new();
        for relative in self.blocks.iter().filter_map(|block| block.attention.relative.as_ref()) {
            if !distances.contains(&&relative.distances) {
                distances.push(&relative.distances);
            }
        }
        let neighbours = self.embedding.neighbours.as_ref();
        positions
            + segments
            + languages.as_ref().map_or(0, Table::parameters)
            + norm.as_ref().map_or(0, |norm| norm.parameters(summed))
            + project.as_ref().map_or(0, |(linear, _)| linear.parameters())
            + different.map(|(_, block)| block.parameters(self.width)).sum::<usize>()
            + biases.into_iter().map(PositionBias::parameters).sum::<usize>()
            + distances.into_iter().map(Distances::parameters).sum::<usize>()
            + neighbours.map_or(0, |convolution| convolution.parameters(self.width))
            + self.final_norm.as_ref().map_or(0, |norm| norm.parameters(self.width))
            + self.project.as_ref().map_or(0, Linear::parameters)
    }
}

impl Head {
    fn parameters(&self) -> usize {
        let transform = self.transform.as_ref().map_or(0, |transform| {
            let Transform { linear, norm, .. } = transform;
            linear.parameters() + norm.as_ref().map_or(0, |norm| norm.parameters(linear.outputs))
        });
        let matrix = if self.tied { 0 } else { self.linear.parameters() };
        transform + matrix + if self.bias.is_empty() { 0 } else { self.linear.outputs }
    }
}

impl Block {
    fn parameters(&self, width: usize) -> usize {
        let cross = self.cross.as_ref().map_or(0, |cross| cross.norms.parameters(width) + cross.attention.parameters());
        self.attn_norms.parameters(width)
            + self.attention.parameters()
            + cross
            + self.mlp_norms.parameters(width)
            + self.mlp.parameters()
    }
}

impl Norms {
    fn parameters(&self, width: usize) -> usize {
        [&self.first, &self.before, &self.written, &self.after]
            .into_iter()
            .flatten()
            .map(|norm| norm.parameters(width))
            .sum()
    }
}

impl Attention {
    /// All but the position bias, which layers share.
    fn parameters(&self) -> usize {
        let projection = match &self.projection {
            Projection::Separate { query, key, value } => query.parameters() + key.parameters() + value.parameters(),
            Projection::Fused { linear, .. } => linear.parameters(),
        };
        let head_norms = self.head_norms.as_ref().map_or(0, |norms| {
            let heads = |count| if norms.span == Span::Head { 1 } else { count };
            norms.query.parameters(heads(self.heads) * self.head_dim)
                + norms.key.parameters(heads(self.kv_heads) * self.head_dim)
        });
        let apart = self.biases_apart.as_ref().map_or(0, |_| 2 * self.heads * self.head_dim);
        let relative = self.relative.as_ref().map_or(0, |relative| relative.parameters(&self.projection));
        projection + apart + head_norms + relative + self.output.parameters()
    }
}

impl PositionBias {
    fn parameters(&self) -> usize {
        match self {
            PositionBias::Buckets { table, .. } => table.parameters(),
            PositionBias::Slopes(_) => 0,
        }
    }
}

impl Distances {
    fn parameters(&self) -> usize {
        match self {
            Distances::Learned { table, norm, .. } => {
                table.parameters() + norm.as_ref().map_or(0, |norm| norm.parameters(table.width))
            }
            Distances::Sinusoidal { .. } => 0,
        }
    }
}

impl Relative {
    /// All but the vectors of distances, which layers share, and matrices that `projection` has already.
    fn parameters(&self, projection: &Projection) -> usize {
        let maps = [&self.key, &self.query].into_iter().flatten();
        let own = maps
            .filter(|map| !matches!(projection, Projection::Separate { query, key, .. } if [query, key].contains(map)));
        let own: usize = own.map(Linear::parameters).sum();
        // Three biases and two segments, each as wide as the heads together.
        own + self.query_biases.as_ref().and(self.key.as_ref()).map_or(0, |key| 5 * key.outputs)
    }
}

impl Convolution {
    fn parameters(&self, width: usize) -> usize {
        width * (width / self.groups) * self.kernel + width + self.norm.parameters(width)
    }
}

impl Mlp {
    fn parameters(&self) -> usize {
        let one = self.up.parameters() + self.gate.as_ref().map_or(0, Linear::parameters) + self.down.parameters();
        let Some(experts) = &self.experts else { return one };
        let shared = experts.shared.as_ref().map_or(0, |shared| shared.mlp.parameters() + shared.opening.parameters());
        experts.count * (one + self.up.inputs) + shared
    }
}

impl Norm {
    fn parameters(&self, width: usize) -> usize {
        (usize::from(self.gain != Gain::None) + usize::from(self.bias)) * width
    }
}

impl Table {
    fn parameters(&self) -> usize {
        self.rows * self.width
    }
}

impl Linear {
    fn parameters(&self) -> usize {
        self.inputs * self.outputs + if self.bias { self.outputs } else { 0 }
    }
}
